import { nodesOf, words, type ScreenNode } from "../../test/host/raycast";
import { html, type Html } from "./html";
import { lucideIcon } from "./icons";

/** The body of a `Form`, with the errors of its fields. */
export function form(node: ScreenNode): Html {
  return html`<div class="form">${node.children.map(formRow)}</div>`;
}

function formRow(item: ScreenNode): Html {
  const { title, text, error, info } = item.props;
  if (item.type === "Form.Separator") return html`<hr />`;
  return html`<div class="field">
    <label>${words(title)}</label>
    <div>
      ${item.type === "Form.Description" ? html`<p>${words(text)}</p>` : field(item)}
      ${words(error) !== "" && html`<p class="error">${words(error)}</p>`}
      ${words(info) !== "" && html`<p class="info">${words(info)}</p>`}
    </div>
  </div>`;
}

function field(item: ScreenNode): Html {
  const { value, defaultValue, placeholder, label, error } = item.props;
  const kind = item.type.replace("Form.", "").toLowerCase();
  const current = value ?? defaultValue;
  if (kind === "checkbox") {
    return html`<div class="checkbox">
      <span class="${current === true ? "checked" : ""}">${current === true && lucideIcon("check")}</span
      >${words(label)}
    </div>`;
  }
  const text = kind === "passwordfield" ? "•".repeat(words(current).length) : chosen(item, words(current));
  return html`<div class="input ${kind} ${words(error) !== "" && "bad"}">
    ${text === "" ? html`<span class="placeholder">${words(placeholder)}</span>` : html`<span>${text}</span>`}
    ${kind === "dropdown" && lucideIcon("chevron-down")}
  </div>`;
}

/** What a field shows: a dropdown the title of the option that has the value, any other the value itself. */
function chosen(item: ScreenNode, value: string): string {
  if (item.type !== "Form.Dropdown") return value;
  const options = [...nodesOf(item)].filter(({ type }) => type === "Form.Dropdown.Item");
  return words((options.find(({ props }) => props.value === value) ?? options[0])?.props.title);
}
