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
