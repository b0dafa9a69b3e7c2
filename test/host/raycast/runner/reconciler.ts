import { type Context, createContext, type ReactNode } from "react";
import Reconciler from "react-reconciler";
import { DefaultEventPriority } from "react-reconciler/constants.js";

/** A component on the screen. A child of type "slot" holds the prop `props.name`, which was an element. */
export interface HostNode {
  id: number;
  type: string;
  props: Record<string, unknown>;
  children: HostNode[];
  hidden: boolean;
}

export interface HostRoot extends HostNode {
  onCommit(): void;
}

/** The parts of react-reconciler 0.31 that are used; its published types are of an older one. */
interface Renderer {
  createContainer(
    root: HostRoot,
    tag: number,
    hydration: null,
    strict: boolean,
    concurrentByDefault: null,
    identifierPrefix: string,
    onUncaughtError: (error: unknown) => void,
    onCaughtError: (error: unknown) => void,
    onRecoverableError: (error: unknown) => void,
    transitions: null,
  ): unknown;
  updateContainer(element: ReactNode, container: unknown, parent: null, callback: null): void;
  updateContainerSync(element: ReactNode, container: unknown, parent: null, callback: null): void;
  flushSyncWork(): void;
  flushPassiveEffects(): boolean;
}

const NO_CONTEXT = {};
const nothing = () => {};
let priority = 0;
let lastId = 0;

function add(parent: HostNode, child: HostNode, before?: HostNode): void {
  remove(parent, child);
  const at = before ? parent.children.indexOf(before) : -1;
  parent.children.splice(at < 0 ? parent.children.length : at, 0, child);
}

function remove(parent: HostNode, child: HostNode): void {
  const at = parent.children.indexOf(child);
  if (at >= 0) parent.children.splice(at, 1);
}

function withoutChildren(props: Record<string, unknown>): Record<string, unknown> {
  const rest = { ...props };
  delete rest.children;
  return rest;
}

export function hostNode(type: string, props: Record<string, unknown> = {}): HostNode {
  return { id: ++lastId, type, props: withoutChildren(props), children: [], hidden: false };
}

const config = {
  supportsMutation: true,
  supportsPersistence: false,
  supportsHydration: false,
  supportsMicrotasks: true,
  isPrimaryRenderer: true,
  noTimeout: -1,
  createInstance: hostNode,
  createTextInstance(text: string): never {
    throw new Error(`Raycast shows no bare text, only its components: "${text}"`);
  },
  appendInitialChild: add,
  appendChild: add,
  appendChildToContainer: add,
  insertBefore: add,
  insertInContainerBefore: add,
  removeChild: remove,
  removeChildFromContainer: remove,
  clearContainer: (root: HostNode) => root.children.splice(0),
  commitUpdate(node: HostNode, _type: string, _old: unknown, props: Record<string, unknown>) {
    node.props = withoutChildren(props);
  },
  hideInstance(node: HostNode) {
    node.hidden = true;
  },
  unhideInstance(node: HostNode) {
    node.hidden = false;
  },
  finalizeInitialChildren: () => false,
  shouldSetTextContent: () => false,
  // An object: of null React says without an end that it expected a context.
  getRootHostContext: () => NO_CONTEXT,
  getChildHostContext: () => NO_CONTEXT,
  getPublicInstance: (node: HostNode) => node,
  prepareForCommit: () => null,
  resetAfterCommit: (root: HostRoot) => root.onCommit(),
  preparePortalMount: nothing,
  scheduleTimeout: setTimeout,
  cancelTimeout: clearTimeout,
  scheduleMicrotask: queueMicrotask,
  setCurrentUpdatePriority(next: number) {
    priority = next;
  },
  getCurrentUpdatePriority: () => priority,
  resolveUpdatePriority: () => priority || DefaultEventPriority,
  NotPendingTransition: null,
  // A real context, though nobody provides it: React reads it.
  HostTransitionContext: createContext(null) as Context<null>,
  resetFormInstance: nothing,
  requestPostPaintCallback: nothing,
  shouldAttemptEagerTransition: () => false,
  trackSchedulerEvent: nothing,
  resolveEventType: () => null,
  resolveEventTimeStamp: () => -1.1,
  maySuspendCommit: () => false,
  preloadInstance: () => true,
  startSuspendingCommit: nothing,
  suspendInstance: nothing,
  waitForCommitToBeReady: () => null,
  detachDeletedInstance: nothing,
  beforeActiveInstanceBlur: nothing,
  afterActiveInstanceBlur: nothing,
  getInstanceFromNode: () => null,
  prepareScopeUpdate: nothing,
  getInstanceFromScope: () => null,
};

const renderer = (Reconciler as unknown as (config: object) => Renderer)(config);
const CONCURRENT_ROOT = 1;

/** Renders an element until `unmount`; `onError` gets what a component threw. */
export function mount(
  element: ReactNode,
  onCommit: (root: HostNode) => void,
  onError: (error: unknown) => void,
): { unmount: () => void } {
  const root: HostRoot = { ...hostNode("root"), onCommit: () => onCommit(root) };
  const container = renderer.createContainer(
    ...([root, CONCURRENT_ROOT, null, false, null, "", onError, onError, nothing, null] as const),
  );
  renderer.updateContainer(element, container, null, null);
  return {
    unmount() {
      renderer.updateContainerSync(null, container, null, null);
      renderer.flushSyncWork();
      renderer.flushPassiveEffects();
    },
  };
}
