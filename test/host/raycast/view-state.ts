import { itemsOf } from "./look";
import { type Json, nodesOf, type ScreenNode, words } from "./screen";

/** What the launcher itself keeps of one view: the search bar, the selection, what was typed into a form. */
export interface ViewState {
  search: string;
  /** The node of the selected item. */
  selected?: number;
  /** The `selectedItemId` that was last obeyed. */
  obeyed?: string;
  typed: Map<string, unknown>;
  focused?: string;
}

export function newViewState(): ViewState {
  return { search: "", typed: new Map() };
}

/** A view as a person sees it: without what the search filters out, with what is selected and typed. */
export function seen(root: ScreenNode, state: ViewState): ScreenNode {
  if (root.type === "List" || root.type === "Grid") return seenList(root, state);
  if (root.type === "Form") return mapNodes(root, (node) => withTyped(node, state));
  return root;
}

function seenList(root: ScreenNode, state: ViewState): ScreenNode {
  const search = searchText(root, state);
  const filtering = root.props.filtering ?? root.props.enableFiltering ?? !root.handlers.includes("onSearchTextChange");
  const filtered = filtering && search ? filter(root, search.toLowerCase().split(/\s+/).filter(Boolean)) : root;
  const items = itemsOf(filtered);
  // Raycast shows no empty view while the first items are awaited.
  const hasEmptyView = items.length === 0 && !(root.props.isLoading === true && !search);
  const selected = selectedNode(
    root,
    items.map(({ node }) => node),
    state,
  );
  const shown = mapNodes(filtered, (node) => {
    if (node.type.endsWith(".EmptyView") && !hasEmptyView) return undefined;
    if (node.type.endsWith(".Section") && node.children.length === 0) return undefined;
    return node.id === selected?.id ? { ...node, props: { ...node.props, isSelected: true } } : node;
  });
  return { ...shown, props: { ...shown.props, searchText: search } };
}

export function searchText(root: ScreenNode, state: ViewState): string {
  return typeof root.props.searchText === "string" ? root.props.searchText : state.search;
}

function selectedNode(root: ScreenNode, items: ScreenNode[], state: ViewState): ScreenNode | undefined {
  const wanted = root.props.selectedItemId;
  if (typeof wanted === "string" && wanted !== state.obeyed) {
    const item = items.find(({ props }) => props.id === wanted);
    if (item) {
      state.obeyed = wanted;
      state.selected = item.id;
    }
  }
  return items.find(({ id }) => id === state.selected) ?? items[0];
}

/** Each word of the search is in the title or in a keyword. */
function filter(root: ScreenNode, search: string[]): ScreenNode {
  return mapNodes(root, (node) => {
    if (!/^(List|Grid)\.Item$/.test(node.type)) return node;
    const { title, keywords } = node.props;
    const texts = [words(title), ...(Array.isArray(keywords) ? keywords.map(words) : [])].map((one) =>
      one.toLowerCase(),
    );
    return search.every((word) => texts.some((text) => text.includes(word))) ? node : undefined;
  });
}

function mapNodes(node: ScreenNode, map: (node: ScreenNode) => ScreenNode | undefined): ScreenNode {
  const children = node.children.flatMap((child) => {
    const mapped = map(mapNodes(child, map));
    return mapped ? [mapped] : [];
  });
  return { ...node, children };
}

export function isField(node: ScreenNode): boolean {
  return /^Form\./.test(node.type) && typeof node.props.id === "string" && node.type.split(".").length === 2;
}

/** The value of a field: the command's own, else what was typed, else the default. */
export function valueOf(node: ScreenNode, state: ViewState): unknown {
  const { id, value, defaultValue } = node.props;
  if (value !== undefined && value !== null) return node.type === "Form.DatePicker" ? toDate(value as Json) : value;
  const typed = state.typed.get(String(id));
  if (typed !== undefined) return typed;
  if (defaultValue !== undefined) return node.type === "Form.DatePicker" ? toDate(defaultValue as Json) : defaultValue;
  return emptyValue(node);
}

function emptyValue(node: ScreenNode): unknown {
  switch (node.type) {
    case "Form.Checkbox":
      return false;
    case "Form.DatePicker":
      return null;
    case "Form.TagPicker":
    case "Form.FilePicker":
      return [];
    case "Form.Dropdown":
      return [...nodesOf(node)].find(({ type }) => type === "Form.Dropdown.Item")?.props.value ?? "";
    default:
      return "";
  }
}

function toDate(value: Json): Date | null {
  return typeof value === "string" ? new Date(value) : null;
}

function withTyped(node: ScreenNode, state: ViewState): ScreenNode {
  if (!isField(node)) return node;
  const value = valueOf(node, state);
  return { ...node, props: { ...node.props, value: value instanceof Date ? value.toISOString() : (value as Json) } };
}
