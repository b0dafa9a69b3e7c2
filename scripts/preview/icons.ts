import { icons as lucide } from "@iconify-json/lucide";
import { Html } from "./html";

/**
 * Raycast's icons are not published: Lucide's stand in for them. Many have the same name in both; these have another.
 * Raycast's names are the values of its `Icon` without the size at the end.
 */
const LUCIDE_NAMES: Record<string, string> = {
  "add-person": "user-plus",
  "app-window-list": "list",
  "app-window-sidebar-right": "panel-right",
  "arrow-clockwise": "rotate-cw",
  "arrow-counter-clockwise": "rotate-ccw",
  "arrow-up-circle": "circle-arrow-up",
  "arrow-ne": "arrow-up-right",
  "bar-chart": "chart-column",
  bolt: "zap",
  "blank-document": "file",
  "bulls-eye": "target",
  "check-circle": "circle-check",
  "check-list": "list-checks",
  checkmark: "check",
  "circle-disabled": "circle-slash",
  cog: "settings",
  "computer-chip": "cpu",
  "copy-clipboard": "copy",
  desktop: "monitor",
  document: "file",
  duplicate: "copy-plus",
  exclamationmark: "circle-alert",
  "full-signal": "signal",
  geopin: "map-pin",
  "globe-01": "globe",
  heartbeat: "heart-pulse",
  "important-01": "circle-alert",
  "info-01": "info",
  "light-bulb": "lightbulb",
  "line-chart": "chart-line",
  livestream: "radio",
  "livestream-01": "radio",
  "magnifying-glass": "search",
  "minus-circle": "circle-minus",
  "new-document": "file-plus",
  "number-list": "list-ordered",
  person: "user",
  "person-circle": "circle-user",
  "plus-circle": "circle-plus",
  "plus-square": "square-plus",
  "question-mark-circle": "circle-question-mark",
  quicklink: "link-2",
  "rotate-clockwise": "rotate-cw",
  "save-document": "save",
  "shield-01": "shield",
  "speech-bubble": "message-square",
  "speech-bubble-active": "message-square-dot",
  stars: "sparkles",
  stop: "square",
  stopwatch: "timer",
  switch: "arrow-left-right",
  text: "type",
  tray: "inbox",
  trash: "trash-2",
  "two-people": "users",
  wand: "wand-sparkles",
  warning: "triangle-alert",
  "x-mark-circle": "circle-x",
  "wrench-screwdriver": "wrench",
  xmark: "x",
};

/**
 * The picture of one of Raycast's icons, in the color of the text around it; undefined when it has none here.
 * @param value a value of Raycast's `Icon`: "circle-filled-16"
 */
export function raycastIcon(value: string): Html | undefined {
  const name = value.replace(/-16$/, "");
  const share = /^circle-progress(?:-(\d+))?$/.exec(name);
  if (share) return pie(Number(share[1] ?? 0) / 100);
  const outline = name.replace(/-filled$/, "");
  return lucideIcon(LUCIDE_NAMES[outline] ?? outline, { filled: outline !== name });
}

/** An icon by Lucide's own name; undefined when there is none of that name. */
export function lucideIcon(name: string, { filled = false } = {}): Html | undefined {
  const icon = lucide.icons[lucide.aliases?.[name]?.parent ?? name];
  if (!icon) return undefined;
  return svg(filled ? icon.body.replaceAll('fill="none"', 'fill="currentColor"') : icon.body);
}

/** A circle of which a share from 0 to 1 is filled. */
function pie(share: number): Html {
  const circumference = 2 * Math.PI * 4;
  return svg(
    `<circle cx="12" cy="12" r="10" fill="none" stroke="currentColor" stroke-width="2"/>` +
      `<circle cx="12" cy="12" r="4" fill="none" stroke="currentColor" stroke-width="8" ` +
      `stroke-dasharray="${share * circumference} ${circumference}" transform="rotate(-90 12 12)"/>`,
  );
}

function svg(body: string): Html {
  return new Html(`<svg viewBox="0 0 24 24" aria-hidden="true">${body}</svg>`);
}
