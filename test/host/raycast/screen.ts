/** What JSON can hold. */
export type Json = string | number | boolean | null | Json[] | { [key: string]: Json };

/**
 * A component of @raycast/api as it is on the screen: `List`, `List.Item`, `ActionPanel.Section`, `MenuBarExtra.Item`, …
 * Dates are ISO strings. A prop that was an element (`actions`, `detail`, `metadata`, `searchBarAccessory`, `alternate`)
 * holds the node that it became.
 */
export interface ScreenNode {
  /** The same as long as the component stays mounted. */
  id: number;
  type: string;
  props: Readonly<Record<string, Json | ScreenNode>>;
  /** The props that are functions; one inside an object is named by its path (`pagination.onLoadMore`). */
  handlers: readonly string[];
  children: readonly ScreenNode[];
}

/** The node in a prop that was an element. */
export function slot(node: ScreenNode, name: string): ScreenNode | undefined {
  const value = node.props[name];
  return isNode(value) ? value : undefined;
}

function isNode(value: Json | ScreenNode | undefined): value is ScreenNode {
  return typeof value === "object" && value !== null && "handlers" in value && "children" in value;
}

/** A node and all below it but those in its props, in the order of the screen. */
export function* nodesOf(node: ScreenNode): Generator<ScreenNode> {
  yield node;
  for (const child of node.children) yield* nodesOf(child);
}

/** The words of a prop, also where Raycast takes `{ value, tooltip }`, `{ text }` or `{ tag }`; "" for none. */
export function words(value: Json | ScreenNode | undefined): string {
  if (value === undefined || value === null || typeof value === "boolean") return "";
  if (typeof value !== "object") return String(value);
  if (Array.isArray(value)) return value.map(words).filter(Boolean).join(", ");
  if (isNode(value)) return "";
  return words(value.value ?? value.text ?? value.tag ?? value.date);
}
