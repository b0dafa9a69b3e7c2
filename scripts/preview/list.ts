import { slot, words, type Json, type ScreenNode } from "../../test/host/raycast";
import { itemsOf } from "../../test/host/raycast/look";
import { html, type Html } from "./html";
import { field, image, type Look } from "./image";
import { markdown } from "./markdown";
import { metadata, tag } from "./metadata";

/** The body of a `List`. */
export function list(node: ScreenNode, look: Look): Html {
  const items = itemsOf(node);
  if (items.length === 0) return html`<div class="rows">${emptyView(node, look)}</div>`;
  const rows = html`<div class="rows">
    ${node.children.map((child) =>
      child.type === "List.Section"
        ? [sectionTitle(child), child.children.map((item) => row(item, look))]
        : child.type === "List.Item" && row(child, look),
    )}
  </div>`;
  const selected = items.find((item) => item.selected)?.node;
  const detail = node.props.isShowingDetail === true && selected ? slot(selected, "detail") : undefined;
  return detail ? html`<div class="split">${rows}${sideDetail(detail, look)}</div>` : rows;
}

function sectionTitle({ props }: ScreenNode): Html | false {
  return (
    props.title !== undefined &&
    html`<div class="section">${words(props.title)}<span>${words(props.subtitle)}</span></div>`
  );
}

function row({ props }: ScreenNode, look: Look): Html {
  const { icon, title, subtitle, accessories } = props;
  return html`<div class="item ${props.isSelected === true && "selected"}">
    ${image(icon, look)}<b>${words(title)}</b><span class="subtitle">${words(subtitle)}</span>
    <span class="right">${(Array.isArray(accessories) ? accessories : []).map((each) => accessory(each, look))}</span>
  </div>`;
}

function accessory(value: Json, look: Look): Html {
  const [tagValue, date] = [field(value, "tag"), field(value, "date")];
  if (tagValue !== undefined) return tag(words(tagValue), field(tagValue, "color"), field(value, "icon"), look);
  const text = date === undefined ? words(field(value, "text")) : age(words(date), look);
  return html`<span class="accessory">${image(field(value, "icon"), look)}${text}</span>`;
}

/** How long ago, in the short form that Raycast gives to dates: "3m". */
function age(iso: string, { taken }: Look): string {
  const minutes = Math.max(0, Math.round((taken.getTime() - Date.parse(iso)) / 60_000));
  if (minutes < 60) return `${minutes}m`;
  return minutes < 60 * 24 ? `${Math.round(minutes / 60)}h` : `${Math.round(minutes / 60 / 24)}d`;
}

function sideDetail(detail: ScreenNode, look: Look): Html {
  const panel = slot(detail, "metadata");
  const text = words(detail.props.markdown);
  return html`<div class="side">${text !== "" && markdown(text)}${panel && metadata(panel, look)}</div>`;
}

/** The view in place of items; Raycast's own where the command has none and the list is not loading. */
function emptyView(node: ScreenNode, look: Look): Html | false {
  const view = node.children.find(({ type }) => type === "List.EmptyView");
  if (!view && node.props.isLoading === true) return false;
  return html`<div class="empty">
    ${image(view?.props.icon ?? "magnifying-glass-16", look)}
    <h3>${view ? words(view.props.title) : "No Results"}</h3>
    <p>${words(view?.props.description)}</p>
  </div>`;
}
