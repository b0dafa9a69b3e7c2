import { Marked } from "marked";
import { escapeHtml, Html } from "./html";

const marked = new Marked({
  gfm: true,
  // Raycast shows tags as the text they are.
  renderer: { html: ({ text }) => escapeHtml(text) },
});

/** Markdown as Raycast's Detail shows it. */
export function markdown(text: string): Html {
  return new Html(`<div class="markdown">${marked.parse(text, { async: false })}</div>`);
}
