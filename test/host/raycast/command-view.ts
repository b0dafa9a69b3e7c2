import { type ActionEntry, actionsOf, currentPanel, type Item, itemsOf, keysOf, matches } from "./look";
import type { Shortcut } from "./protocol";
import { RunningCommand, type WaitOptions } from "./running-command";
import { nodesOf, type ScreenNode, slot, words } from "./screen";
import { isField, newViewState, searchText, seen, valueOf, type ViewState } from "./view-state";

export type Key = Shortcut | "enter" | "cmd+enter" | "escape";

/** A command in Raycast's window, used as a person does: by what can be seen. */
export class CommandView extends RunningCommand {
  /** One for each view of the navigation stack, by its node. */
  private readonly states = new Map<number, ViewState>();
  private toldSelection = new Map<number, string | null>();

  items(): Item[] {
    return itemsOf(this.screen());
  }

  /** The actions of an item; without one, those that a key press reaches now. */
  actions(of?: string | RegExp): ActionEntry[] {
    const screen = this.screen();
    if (of === undefined) return actionsOf(currentPanel(screen));
    return actionsOf(slot(this.itemTitled(of).node, "actions") ?? slot(screen, "actions"));
  }

  /**
   * Runs an action by its title, in the panel or on the toast, as soon as it is there. Resolves when its handler is done;
   * one that takes longer goes on.
   */
  async run(action: string | RegExp, { item, ...wait }: { item?: string | RegExp } & WaitOptions = {}): Promise<void> {
    if (item !== undefined) {
      await this.until(() => this.has(item), `an item "${item}"`, wait);
      await this.select(item);
    }
    const find = () => this.look() && this.actions().find(({ title }) => matches(title, action));
    const onToast = () =>
      [this.toast()?.primaryAction, this.toast()?.secondaryAction].some(
        (button) => button && matches(button.title, action),
      );
    await this.insist(async () => {
      await this.until(() => Boolean(find()) || onToast(), `an action "${action}"`, wait);
      const found = find();
      return found ? this.perform(found) : this.pressToast(action);
    });
  }

  /** Presses a key: a shortcut, Enter for the first action, Command-Enter for the second, Escape to go back. */
  async press(key: Key): Promise<void> {
    if (key === "escape") {
      if (this.look() && searchText(this.screen(), this.state())) return this.search("");
      return this.back();
    }
    await this.insist(() => this.pressOnce(key));
  }

  async select(item: string | RegExp): Promise<void> {
    this.state().selected = this.itemTitled(item).node.id;
    await this.tellSelection();
    this.changed();
  }

  /** Types into the search bar. */
  async search(text: string): Promise<void> {
    this.state().search = text;
    await this.invoke(this.rootNode(), "onSearchTextChange", text);
    await this.tellSelection();
    this.changed();
  }

  /** Chooses in the dropdown of the search bar, by title or value. */
  async choose(option: string): Promise<void> {
    const dropdown = slot(this.rootNode(), "searchBarAccessory");
    const options = dropdown ? [...nodesOf(dropdown)].filter(({ type }) => type.endsWith(".Dropdown.Item")) : [];
    const chosen = options.find(({ props }) => words(props.title) === option || props.value === option);
    if (!dropdown || !chosen) throw new Error(`No dropdown offers "${option}":\n${this.text()}`);
    await this.invoke(dropdown, "onChange", chosen.props.value);
  }

  /** Fills a field of a form, by its id or title. */
  async type(field: string, value: unknown): Promise<void> {
    const state = this.state();
    const node = this.fieldNamed(field);
    const id = String(node.props.id);
    if (state.focused !== id) {
      await this.blur();
      state.focused = id;
      await this.invoke(node, "onFocus", { type: "focus", target: { id, value: valueOf(node, state) } });
    }
    state.typed.set(id, value);
    await this.invoke(node, "onChange", value);
    this.changed();
  }

  /** Runs the form's first action. */
  async submit(): Promise<void> {
    await this.blur();
    await this.press("cmd+enter");
  }

  /** Leaves the view on top; the command's first view ends with it. */
  async back(): Promise<void> {
    if ((await this.process.call("pop")) === false) await this.end("closed");
  }

  async closeWindow(): Promise<void> {
    await this.end("closed");
  }

  /** A field of a form is back at its default. */
  resetField(id: string): void {
    if (this.root) this.state().typed.delete(id);
  }

  protected override look(): ScreenNode | undefined {
    return this.root ? seen(this.root, this.state()) : undefined;
  }

  protected override renderedAgain(): void {
    void this.tellSelection();
  }

  /** Tells the command once of each item that becomes the selected one. */
  private async tellSelection(): Promise<void> {
    const root = this.root;
    if (!root?.handlers.includes("onSelectionChange")) return;
    const selected = this.items().find((item) => item.selected);
    const id = selected ? (selected.id ?? String(selected.node.id)) : null;
    const told = this.toldSelection.get(root.id);
    if (told === id || (told === undefined && id === null)) return;
    this.toldSelection.set(root.id, id);
    await this.invoke(root, "onSelectionChange", id);
  }

  /** @returns whether the action was still there: the command may have rendered meanwhile, which is told by now */
  private async perform({ title, node }: ActionEntry): Promise<boolean> {
    const screen = this.rootNode();
    const isSubmit = node.type === "Action.SubmitForm";
    const fields = [...nodesOf(screen)].filter(isField);
    const values = fields.map((field) => [String(field.props.id), valueOf(field, this.state())] as const);
    if (!node.handlers.includes("onAction")) throw new Error(`"${title}" does nothing:\n${this.text()}`);
    const isDone = await this.invoke(node, "onAction", ...(isSubmit ? [Object.fromEntries(values)] : []));
    await this.throwCrash();
    return isDone;
  }

  private async pressOnce(key: Key): Promise<boolean> {
    const actions = this.actions();
    const primary = this.screen().type === "Form" ? ["cmd+enter"] : ["enter", "cmd+enter"];
    const found =
      typeof key === "string"
        ? actions[primary.indexOf(key)]
        : actions.find(({ shortcut }) => shortcut && keysOf(shortcut) === keysOf(key));
    if (found) return this.perform(found);
    const keys = typeof key === "string" ? key : keysOf(key);
    const { primaryAction, secondaryAction } = this.toast() ?? {};
    const button = [primaryAction, secondaryAction].find((one) => one?.shortcut && keysOf(one.shortcut) === keys);
    if (!button) throw new Error(`No action answers to ${keys}:\n${this.text()}`);
    return this.pressToast(button.title);
  }

  private async blur(): Promise<void> {
    const state = this.state();
    const node = [...nodesOf(this.rootNode())].find(
      ({ props }) => state.focused !== undefined && props.id === state.focused,
    );
    state.focused = undefined;
    if (!node) return;
    await this.invoke(node, "onBlur", { type: "blur", target: { id: node.props.id, value: valueOf(node, state) } });
  }

  /** @returns false when the node is no longer on the screen */
  private async invoke(node: ScreenNode, handler: string, ...args: unknown[]): Promise<boolean> {
    if (!node.handlers.includes(handler)) return true;
    // No answer at all: the command ended in it.
    return (await this.process.call("invoke", node.id, handler, args)) !== false;
  }

  private rootNode(): ScreenNode {
    if (!this.root) throw new Error(`${this.command} shows nothing.\n${this.text()}`);
    return this.root;
  }

  private state(): ViewState {
    const { id } = this.rootNode();
    const state = this.states.get(id) ?? newViewState();
    this.states.set(id, state);
    return state;
  }

  private has(item: string | RegExp): boolean {
    return this.look() !== undefined && this.items().some(({ title }) => matches(title, item));
  }

  private itemTitled(wanted: string | RegExp): Item {
    const found = this.items().find(({ title }) => matches(title, wanted));
    if (!found) throw new Error(`No item is titled "${wanted}":\n${this.text()}`);
    return found;
  }

  private fieldNamed(name: string): ScreenNode {
    const fields = [...nodesOf(this.rootNode())].filter(isField);
    const found = fields.find(({ props }) => props.id === name) ?? fields.find(({ props }) => props.title === name);
    if (!found) throw new Error(`No field is "${name}":\n${this.text()}`);
    return found;
  }
}
