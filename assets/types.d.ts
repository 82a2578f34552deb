// What TypeScript is told of the page: events come from elements, and elements that are looked up are HTML's.

interface EventTarget {
  matches?: any;
  closest?(selectors: string): HTMLElement | null;
  value?: any;
  maxLength?: number;
  selectionStart?: number | null;
  selectionEnd?: number | null;
}

interface Element {
  readonly dataset: DOMStringMap;
  readonly offsetParent: Element | null;
  value?: any;
  hidden?: any;
  maxLength?: number;
  click(): void;
  focus(options?: FocusOptions): void;
}

interface Window {
  Plotly: any;
}

/** Points (layer, coefficient), joined by lines. */
type Curve = [number, number][];

/** A domain model in the list. */
interface DomainModel {
  ref: string;
  /** Whether it takes part in the merge. */
  on: boolean;
  coefficient: number;
  /** Coefficient by layer; without it `coefficient` is used. */
  curve?: Curve;
  /** Coefficient by part of the layers, from a recipe, as JSON; used if it is there. */
  parts?: string;
}

/** A whole session as links and presets hold it: `state_of` in components/session/state.py. */
type SessionState = Record<string, any> & { models: DomainModel[]; base: string };

/** Curves over the pruning rate, row by row, of every (layer, kind); decoded from the server's table. */
type RateTable = Record<string, any> & { layers: number[]; kinds: string[]; modules: string[][]; count: number;
  sources?: [string, number][] };

/** A cell of the heatmap: a kind of matrix in a layer, with its values of the moment. */
type MatrixCell = Record<string, any>;

/** The values that the plots of one moment show. */
type PlotView = Record<string, any> & { table: RateTable; cells: MatrixCell[]; levels: number[] };

// --- the tab's own merge and words (assets/js/tab/) ---------------------------------------------
/** Scores of one domain model: shares of outliers by layer and module, and how many elements changed. */
interface TabScores { layer: number[]; module: number[]; nonzero: number[] }
/** A tensor in the order of packed weights: `place` in bytes; `module` -1 outside the modules; `seed` of ties. */
interface TabTensor {
  index: number;
  numel: number;
  layer: number | null;
  place: number;
  module: number;
  seed: bigint;
}
/** What is added of a model's delta in a tensor: all; the elements of each level, the strongest first; or some drawn. */
type TabTreatment =
  | { model: string; kind: "whole"; weight: number }
  | { model: string; kind: "bands"; kept: number[]; weights: number[] }
  | { model: string; kind: "drawn"; seed: string; rate: number; weight: number };
/** A domain model's part in a merge; coefficients by layer. */
interface TabPart { model: string; levels: number[]; factors: number[]; coefficients: number[] }
/** A merge as the worker reads it; `strength` is DPPA's, the parts lie in the recipe's order. */
interface TabMerge {
  method: "dppa" | "magnitude" | "task_arithmetic" | "dare";
  strength: number;
  others: "keep" | "prune" | "drop";
  models: TabPart[];
  /** What the server needs beside levels to count what each level keeps of every module, and its counts by model. */
  asks?: { parameters: Record<string, any>; overrides: Record<string, { rate: number }> };
  counts?: Record<string, number[][]>;
}
/** A question with a right answer: how one is read is the name of a function, or the labels (dppa_core/tasks). */
interface TabItem { answer: string; read: string | string[] }
/** A question whose replies the page marks. */
interface MarkedItem { answer: string; isRight: (reply: string) => boolean }
/**
 * A merge's or a model's words for a prompt, or its reading of a reply; without a prompt, models are fetched. `key`: the
 * controls that the merge stands for, if not those of now; "" for none.
 */
interface TabWish {
  merge?: TabMerge;
  model?: string;
  models?: string[];
  prompt?: string;
  reply?: string;
  limit?: number;
  draft?: number[];
  key?: string;
  /** Models whose weights are copied; "merged" for the merge. */
  copies?: string[];
}
/** What a second worker begins with. */
interface TabShare { module: WebAssembly.Module; manifest: any; copies: [string, Uint16Array][] }
