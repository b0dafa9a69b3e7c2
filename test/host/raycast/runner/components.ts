import {
  createElement,
  type FunctionComponent,
  isValidElement,
  type ReactNode,
  type Ref,
  useContext,
  useImperativeHandle,
} from "react";
import type { CommandMode } from "../protocol";
import { actionBehavior } from "./actions";
import { ask } from "./link";
import { NavigationContext } from "./navigation";

type Props = Record<string, unknown> & { children?: ReactNode; ref?: Ref<unknown> };

const TOP_LEVEL = ["List", "Grid", "Detail", "Form"];

/** The component of a path of @raycast/api, such as `List.Item`: a node of that type, whose element props are slots. */
export function makeComponent(path: string, mode: CommandMode): FunctionComponent<Props> {
  const behavior = actionBehavior(path);
  const isMenu = path.startsWith("MenuBarExtra");
  const Component: FunctionComponent<Props> = ({ ref, children, ...props }) => {
    const navigation = useContext(NavigationContext);
    useImperativeHandle(ref, () => fieldHandle(String(props.id)), [props.id]);
    if (isMenu && mode !== "menu-bar") throw new Error(`${path} is for menu-bar commands only`);
    if (mode === "menu-bar" && TOP_LEVEL.includes(path)) throw new Error(`A menu-bar command shows no ${path}`);
    const shown = behavior && navigation ? behavior(props, navigation) : props;
    const slots: ReactNode[] = [];
    const plain: Record<string, unknown> = {};
    for (const [name, value] of Object.entries(shown)) {
      if (isElement(value)) slots.push(createElement("slot", { name, key: `slot-${name}` }, value));
      else plain[name] = value;
    }
    return createElement(path, plain, children, ...slots);
  };
  Component.displayName = path;
  return Component;
}

function isElement(value: unknown): value is ReactNode {
  return isValidElement(value) || (Array.isArray(value) && value.some((one) => isValidElement(one)));
}

/** What a ref of a form's field can do. */
function fieldHandle(id: string) {
  return { focus: () => {}, reset: () => void ask("resetField", id) };
}
