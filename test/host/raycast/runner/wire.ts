import type { Json, ScreenNode } from "../screen";
import type { HostNode } from "./reconciler";

/** What is mounted below a node as data for the launcher; each node of it is also put into `live`, by its id. */
export function toScreen(node: HostNode, live: Map<number, HostNode>): ScreenNode {
  live.set(node.id, node);
  const props: Record<string, Json | ScreenNode> = {};
  const handlers: string[] = [];
  for (const [name, value] of Object.entries(node.props)) {
    const json = toJson(value, name, handlers);
    if (json !== undefined) props[name] = json;
  }
  const children: ScreenNode[] = [];
  for (const child of node.children.filter(({ hidden }) => !hidden)) {
    if (child.type !== "slot") children.push(toScreen(child, live));
    else Object.assign(props, toSlot(child, live));
  }
  return { id: node.id, type: node.type, props, handlers, children };
}

function toSlot(node: HostNode, live: Map<number, HostNode>): Record<string, ScreenNode> {
  const name = String(node.props.name);
  const [child, ...more] = node.children.filter(({ hidden }) => !hidden);
  if (more.length > 0) throw new Error(`"${name}" takes one component, not ${more.length + 1}`);
  return child ? { [name]: toScreen(child, live) } : {};
}

function toJson(value: unknown, path: string, handlers: string[]): Json | undefined {
  if (value === undefined) return undefined;
  if (value === null || typeof value === "string" || typeof value === "number" || typeof value === "boolean") {
    return value;
  }
  if (typeof value === "function") {
    handlers.push(path);
    return undefined;
  }
  if (value instanceof Date) return value.toISOString();
  if (value instanceof URL) return value.href;
  if (Array.isArray(value)) return value.map((one, at) => toJson(one, `${path}.${at}`, handlers) ?? null);
  if (typeof value !== "object") throw new Error(`The prop "${path}" can't be shown: ${typeof value}`);
  const json: { [key: string]: Json } = {};
  for (const [name, one] of Object.entries(value)) {
    const inner = toJson(one, `${path}.${name}`, handlers);
    if (inner !== undefined) json[name] = inner;
  }
  return json;
}

/** The function at a path of a node's props as they are now. */
export function handlerOf(node: HostNode, path: string): ((...args: unknown[]) => unknown) | undefined {
  let value: unknown = node.props;
  for (const name of path.split(".")) value = (value as Record<string, unknown> | undefined)?.[name];
  return typeof value === "function" ? (value as (...args: unknown[]) => unknown) : undefined;
}
