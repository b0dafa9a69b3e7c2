import { join } from "node:path";
import { menuBar } from "../../../scripts/preview/menu";
import { PALETTE } from "../../../scripts/preview/palette";
import { commandWindow, type WindowState } from "../../../scripts/preview/window";
import type { Json, ScreenNode } from "../../host/raycast";

const look = {
  theme: "dark" as const,
  assets: join(import.meta.dirname, "..", "..", "..", "assets"),
  taken: new Date(2026, 0, 5, 9, 41),
};

let last = 0;

function node(
  type: string,
  props: Record<string, Json | ScreenNode> = {},
  children: ScreenNode[] = [],
  handlers: string[] = [],
): ScreenNode {
  return { id: ++last, type, props, children, handlers };
}

const action = (title: string, props: Record<string, Json> = {}) =>
  node("Action", { title, icon: "play-16", ...props }, [], ["onAction"]);

/** The words of a drawn window, without its tags. */
function drawn(screen: ScreenNode, state: Partial<WindowState> = {}): string {
  const { text } = commandWindow({ screen, title: "Share GPU", ...state }, look);
  return text
    .replace(/<[^>]*>/g, " ")
    .replace(/\s+/g, " ")
    .trim();
}

test("a list shows its items with their accessories, and the first action of the selected one", () => {
  const selected = node("List.Item", {
    title: "SmolLM2",
    icon: "box-16",
    isSelected: true,
    accessories: [{ tag: { value: "Online", color: "raycast-green" } }, { text: "3 sessions" }],
    actions: node("ActionPanel", {}, [node("ActionPanel.Section", {}, [action("Share")])]),
  });
  const other = node("List.Item", { title: "TinyLlama", actions: node("ActionPanel", {}, [action("Other")]) });
  const section = node("List.Section", { title: "Models" }, [selected, other]);
  const text = drawn(node("List", { searchBarPlaceholder: "Search models" }, [section]));
  expect(text).toBe("Search models Models SmolLM2 Online 3 sessions TinyLlama Share GPU Share Actions K");
});

test("an open action panel shows all actions with their keys, the first two with those that Raycast gives them", () => {
  const actions = node("ActionPanel", {}, [
    action("Share"),
    action("Stop Now", { style: "destructive" }),
    node("ActionPanel.Section", { title: "Copy" }, [
      node(
        "Action.CopyToClipboard",
        { title: "Copy Peer ID", shortcut: { modifiers: ["cmd", "shift"], key: "c" } },
        [],
        ["onAction"],
      ),
    ]),
  ]);
  const text = drawn(node("Detail", { markdown: "# Hello", actions }), { actions: true });
  expect(text).toContain("Share Stop Now Copy Copy Peer ID C Search for actions…");
});

test("an empty view is drawn with its action; without one Raycast has its own, but not while it loads", () => {
  const empty = node("List.EmptyView", {
    icon: "warning-16",
    title: "Docker Is Not Running",
    description: "Start it.",
    actions: node("ActionPanel", {}, [action("Start Docker")]),
  });
  expect(drawn(node("List", {}, [empty]))).toContain("Docker Is Not Running Start it. Share GPU Start Docker");
  expect(drawn(node("List", { searchText: "xyz" }))).toBe("xyz No Results Share GPU");
  expect(drawn(node("List", { isLoading: true }))).toBe("Search… Share GPU");
});

test("markdown shows tags as text, and a text that looks like HTML stays text everywhere", () => {
  const screen = node("Detail", { markdown: "**bold** <script>no</script>", navigationTitle: "<b>Title</b>" });
  const { text } = commandWindow({ screen, title: "Share GPU" }, look);
  expect(text).toContain("<strong>bold</strong>");
  expect(text).toContain("&lt;script&gt;");
  expect(text).toContain("&lt;b&gt;Title&lt;/b&gt;");
});

test("a form shows the chosen options by title, hides a password and tells errors", () => {
  const screen = node("Form", {}, [
    node("Form.Dropdown", { title: "Swarm", value: "private" }, [
      node("Form.Dropdown.Item", { title: "Public", value: "public" }),
      node("Form.Dropdown.Item", { title: "Private", value: "private" }),
    ]),
    node("Form.PasswordField", { title: "Token", value: "hf_secret" }),
    node("Form.TextField", { title: "Blocks", value: "x", error: "Enter a number." }),
  ]);
  const text = drawn(screen);
  expect(text).toContain("Swarm Private");
  expect(text).not.toContain("hf_secret");
  expect(text).toContain("Blocks x Enter a number.");
});

test("a toast takes the place of the command's name, and an alert lies above the window", () => {
  const toast = { style: "FAILURE" as const, title: "Not stopped", message: "The engine doesn't answer." };
  const alert = { title: "Stop Now?", message: "3 sessions end.", primaryAction: { title: "Stop Now" } };
  const text = drawn(node("Detail", { markdown: "", navigationTitle: "Logs" }), { toast, alert });
  expect(text).toBe("Logs Not stopped The engine doesn't answer. Stop Now? 3 sessions end. Cancel Stop Now");
});

test("a menu shows what can't be clicked as disabled", () => {
  const screen = node("MenuBarExtra", { title: "Sharing", icon: "circle-filled-16" }, [
    node("MenuBarExtra.Section", { title: "Now" }, [node("MenuBarExtra.Item", { title: "SmolLM2" })]),
    node("MenuBarExtra.Item", { title: "Stop Sharing" }, [], ["onAction"]),
  ]);
  const entries = menuBar(screen, look).text.split('<div class="entry').slice(1);
  expect(entries.map((entry) => entry.startsWith(" disabled"))).toEqual([true, false]);
});

test("times are those at which the picture was taken", () => {
  expect(menuBar(node("MenuBarExtra"), look).text).toContain("Mon 9:41 AM");
  const accessories = [{ date: new Date(2026, 0, 5, 7, 41).toISOString() }];
  expect(drawn(node("List", {}, [node("List.Item", { title: "x", accessories })]))).toContain("x 2h");
});

test("an icon that can't be drawn stops the picture instead of leaving a hole", () => {
  const item = node("List.Item", { title: "x", icon: "no-such-thing-16" });
  expect(() => drawn(node("List", {}, [item]))).toThrow(/no-such-thing/);
});

test("a section of a menu without items leaves no line", () => {
  const screen = node("MenuBarExtra", {}, [node("MenuBarExtra.Section"), node("MenuBarExtra.Item", { title: "Ask" })]);
  expect(menuBar(screen, look).text).not.toContain("group");
});

test("a ring of progress has the colors of the theme", () => {
  const ring = `data:image/svg+xml,${encodeURIComponent('<svg><path stroke="raycast-yellow"/><path stroke="white"/></svg>')}`;
  const screen = node("List", {}, [node("List.Item", { title: "Build", icon: ring })]);
  const inTheme = (theme: "dark" | "light") =>
    decodeURIComponent(
      /src="(data:[^"]*svg%3E)"/.exec(commandWindow({ screen, title: "" }, { ...look, theme }).text)?.[1] ?? "",
    );
  expect(inTheme("dark")).toContain(`stroke="${PALETTE.dark.yellow}"/><path stroke="white"`);
  expect(inTheme("light")).toContain(`stroke="${PALETTE.light.yellow}"/><path stroke="black"`);
});

test("Enter belongs to the fields of a form, and its action has Command-Enter", () => {
  const actions = node("ActionPanel", {}, [action("Share")]);
  const keys = (screen: ScreenNode) => commandWindow({ screen, title: "Share" }, look).text.split("<kbd>").length - 1;
  expect(keys(node("Form", { actions })) - keys(node("Detail", { markdown: "", actions }))).toBe(1);
});
