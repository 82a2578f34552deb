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
}

/** A whole session as links and presets hold it: `state_of` in components/session/state.py. */
type SessionState = Record<string, any> & { models: DomainModel[]; base: string };

/** Curves over the pruning rate, row by row, of every (layer, kind); decoded from the server's table. */
type RateTable = Record<string, any> & { layers: number[]; kinds: string[]; modules: string[][]; count: number };

/** A cell of the heatmap: a kind of matrix in a layer, with its values of the moment. */
type MatrixCell = Record<string, any>;

/** The values that the plots of one moment show. */
type PlotView = Record<string, any> & { table: RateTable; cells: MatrixCell[]; levels: number[] };
