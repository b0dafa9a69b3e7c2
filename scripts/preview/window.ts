import { nodesOf, slot, words, type AlertEntry, type ScreenNode, type ToastEntry } from "../../test/host/raycast";
import { currentPanel } from "../../test/host/raycast/look";
import { actionPanel, keycaps, primaryKeys, primaryTitle } from "./actions";
import { form } from "./form";
import { html, type Html } from "./html";
import { lucideIcon } from "./icons";
import { image, type Look } from "./image";
import { list } from "./list";
import { markdown } from "./markdown";
import { metadata } from "./metadata";

/** A view command's window. */
export interface WindowState {
  /** With what is selected and typed. */
  screen: ScreenNode;
  /** The command's title. */
  title: string;
  /** Whether there is a screen below this one. */
  pushed?: boolean;
  /** Whether the action panel is open. */
  actions?: boolean;
  toast?: ToastEntry;
  alert?: Omit<AlertEntry, "confirmed">;
}

export function commandWindow(state: WindowState, look: Look): Html {
  const { screen, actions = false, alert } = state;
  const panel = currentPanel(screen);
  return html`<div class="window">
    ${topBar(state)} ${screen.props.isLoading === true && html`<div class="loading"></div>`}
    <div class="body">${body(state, look)}</div>
    ${bottomBar(state, panel, look)} ${actions && panel && actionPanel(screen, panel, look)} ${alert && alertBox(alert)}
  </div>`;
}

function topBar({ screen, title, pushed = false }: WindowState): Html {
  const back = (pushed || screen.type !== "List") && html`<span class="back">${lucideIcon("arrow-left")}</span>`;
  if (screen.type !== "List") {
    return html`<div class="top">
      ${back}<span class="title">${words(screen.props.navigationTitle) || title}</span>
    </div>`;
  }
  const searchText = words(screen.props.searchText);
  const dropdown = slot(screen, "searchBarAccessory");
  const placeholder = words(screen.props.searchBarPlaceholder) || "Search…";
  return html`<div class="top">
    ${back}
    ${searchText === "" ? html`<span class="placeholder">${placeholder}</span>` : html`<span>${searchText}</span>`}
    ${dropdown && html`<span class="dropdown">${chosenTitle(dropdown)}${lucideIcon("chevron-down")}</span>`}
  </div>`;
}

function chosenTitle(dropdown: ScreenNode): string {
  const options = [...nodesOf(dropdown)].filter(({ type }) => type === "List.Dropdown.Item");
  const value = dropdown.props.value ?? dropdown.props.defaultValue;
  return words((options.find(({ props }) => props.value === value) ?? options[0])?.props.title);
}

/** @throws Error for a kind of view that has no picture here */
function body({ screen }: WindowState, look: Look): Html {
  if (screen.type === "List") return list(screen, look);
  if (screen.type === "Form") return form(screen);
  if (screen.type !== "Detail") throw new Error(`No picture for a ${screen.type}.`);
  const panel = slot(screen, "metadata");
  return html`<div class="split detail">
    ${markdown(words(screen.props.markdown))}${panel && metadata(panel, look)}
  </div>`;
}

function bottomBar({ screen, title, toast, alert }: WindowState, panel: ScreenNode | undefined, look: Look): Html {
  const primary = panel && primaryTitle(panel);
  const left = toast
    ? html`<span class="toast">${toastSign(toast)}<b>${toast.title}</b><span>${toast.message}</span></span>`
    : html`${image("icon.png", look)}<span class="command">${title}</span>`;
  return html`<div class="bottom ${toast && !alert && toast.style.toLowerCase()}">
    ${left}
    <span class="right">
      ${primary && html`<b>${primary}</b>${keycaps(...(primaryKeys(screen)[0] ?? []))}<span class="bar"></span>`}
      ${panel && html`<span>Actions</span>${keycaps("cmd", "k")}`}
    </span>
  </div>`;
}

function toastSign({ style }: ToastEntry): Html {
  return style === "ANIMATED"
    ? html`<i class="image spinning">${lucideIcon("loader-circle")}</i>`
    : html`<i class="dot"></i>`;
}

function alertBox({ title, message, primaryAction, dismissAction }: Omit<AlertEntry, "confirmed">): Html {
  return html`<div class="veil">
    <div class="alert">
      <h3>${title}</h3>
      <p>${message}</p>
      <div class="buttons">
        <span>${dismissAction?.title ?? "Cancel"}</span>
        <span class="${primaryAction?.style?.toLowerCase()}">${primaryAction?.title ?? "OK"}</span>
      </div>
    </div>
  </div>`;
}
