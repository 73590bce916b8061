// What the page uses of preact.js, for `tsc --checkJs`.
export interface Signal<T = any> { value: T; peek(): T; }
export type ReadonlySignal<T = any> = { readonly value: T; peek(): T; };
export function signal<T>(value: T): Signal<T>;
export function computed<T>(of: () => T): ReadonlySignal<T>;
export function effect(run: () => void | (() => void)): () => void;
export function batch<T>(run: () => T): T;
export function untracked<T>(run: () => T): T;
export function useSignal<T>(value: T): Signal<T>;
export function useComputed<T>(of: () => T): ReadonlySignal<T>;
export function useSignalEffect(run: () => void | (() => void)): void;
export function html(strings: TemplateStringsArray, ...values: any[]): any;
export function h(type: any, props?: any, ...children: any[]): any;
export function render(node: any, into: Element): void;
export const Fragment: any;
export function useState<T>(first: T | (() => T)): [T, (next: T | ((before: T) => T)) => void];
export function useEffect(run: () => void | (() => void), on?: any[]): void;
export function useLayoutEffect(run: () => void | (() => void), on?: any[]): void;
export function useRef<T = any>(first?: T): { current: T };
export function useMemo<T>(of: () => T, on: any[]): T;
export function useCallback<T>(of: T, on: any[]): T;
export function useErrorBoundary(then?: (error: any) => void): [any, () => void];
export function useId(): string;
