// What the page uses of uplot.js, for `tsc --checkJs`.
export default class uPlot {
  constructor(options: any, data: any[], into: HTMLElement);
  setData(data: any[]): void;
  setSize(size: { width: number; height: number }): void;
  destroy(): void;
}
