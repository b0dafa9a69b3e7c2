import { createContext, createElement, type ReactElement, type ReactNode, useSyncExternalStore } from "react";

export interface Navigation {
  push(element: ReactNode, onPop?: () => void): void;
  pop(): void;
}

export const NavigationContext = createContext<Navigation | undefined>(undefined);

/** The views of one window: all stay mounted, the last one is seen. */
export class NavigationStack implements Navigation {
  private views: { key: number; element: ReactNode; onPop?: () => void }[] = [];
  private lastKey = 0;
  private readonly listeners = new Set<() => void>();

  /** The element of all views, with `first` as the one that can't be left. */
  render(first: ReactElement): ReactElement {
    this.views = [{ key: ++this.lastKey, element: first }];
    const Views = () =>
      useSyncExternalStore(this.subscribe, () => this.views).map(({ key, element }) =>
        createElement("navigation-view", { key }, element),
      );
    return createElement(NavigationContext.Provider, { value: this }, createElement(Views));
  }

  push = (element: ReactNode, onPop?: () => void): void => {
    this.set([...this.views, { key: ++this.lastKey, element, onPop }]);
  };

  pop = (): boolean => {
    if (this.views.length < 2) return false;
    const top = this.views.at(-1);
    this.set(this.views.slice(0, -1));
    top?.onPop?.();
    return true;
  };

  private set(views: NavigationStack["views"]): void {
    this.views = views;
    for (const tell of this.listeners) tell();
  }

  private subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };
}
