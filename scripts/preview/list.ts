import { nodesOf, slot, words, type Json, type ScreenNode } from "../../test/host/raycast";
import { html, type Html } from "./html";
import { field, image, type Look } from "./image";
import { markdown } from "./markdown";
import { metadata, tag } from "./metadata";

/** Which items of a list are on the screen: the search hides some, and one is selected. Node ids. */
export interface ListState {
  items: ReadonlySet<number>;
  selected?: ScreenNode;
}

/** The body of a `List`. */
export function list(node: ScreenNode, state: ListState, searchText: string, look: Look): Html {
  if (state.items.size === 0) return html`<div class="rows">${emptyView(node, searchText, look)}</div>`;
  const rows = html`<div class="rows">
    ${node.children.map((child) => {
      if (!child.type.endsWith(".Section")) return row(child, state, look);
      const shown = child.children.filter((item) => state.items.has(item.id));
      return shown.length > 0 && [sectionTitle(child), shown.map((item) => row(item, state, look))];
    })}
  </div>`;
  const detail = node.props.isShowingDetail === true && state.selected ? slot(state.selected, "detail") : undefined;
  return detail ? html`<div class="split">${rows}${sideDetail(detail, look)}</div>` : rows;
}

function sectionTitle({ props }: ScreenNode): Html | false {
  return (
    props.title !== undefined &&
    html`<div class="section">${words(props.title)}<span>${words(props.subtitle)}</span></div>`
  );
}

function row(item: ScreenNode, { items, selected }: ListState, look: Look): Html | false {
  if (!items.has(item.id)) return false;
  const { icon, title, subtitle, accessories } = item.props;
  return html`<div class="item ${item.id === selected?.id ? "selected" : ""}">
    ${image(icon, look)}<b>${words(title)}</b><span class="subtitle">${words(subtitle)}</span>
    <span class="right">${(Array.isArray(accessories) ? accessories : []).map((each) => accessory(each, look))}</span>
  </div>`;
}

function accessory(value: Json, look: Look): Html {
  const [tagValue, date] = [field(value, "tag"), field(value, "date")];
  if (tagValue !== undefined) return tag(words(tagValue), field(tagValue, "color"), field(value, "icon"), look);
  const text = date === undefined ? words(field(value, "text")) : age(words(date));
  return html`<span class="accessory">${image(field(value, "icon"), look)}${text}</span>`;
}

/** How long ago, in the short form that Raycast gives to dates: "3m". */
function age(iso: string): string {
  const minutes = Math.max(0, Math.round((Date.now() - Date.parse(iso)) / 60_000));
  if (minutes < 60) return `${minutes}m`;
  return minutes < 60 * 24 ? `${Math.round(minutes / 60)}h` : `${Math.round(minutes / 60 / 24)}d`;
}

function sideDetail(detail: ScreenNode, look: Look): Html {
  const panel = slot(detail, "metadata");
  const text = words(detail.props.markdown);
  return html`<div class="side">${text !== "" && markdown(text)}${panel && metadata(panel, look)}</div>`;
}

/** The view in place of items. Raycast shows none while a list loads and nothing was typed. */
function emptyView(node: ScreenNode, searchText: string, look: Look): Html | false {
  if (node.props.isLoading === true && searchText === "") return false;
  const view = [...nodesOf(node)].find(({ type }) => type === "List.EmptyView");
  return html`<div class="empty">
    ${image(view?.props.icon ?? "magnifying-glass-16", look)}
    <h3>${view ? words(view.props.title) : "No Results"}</h3>
    <p>${words(view?.props.description)}</p>
  </div>`;
}
