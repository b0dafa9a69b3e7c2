import { Icon, MenuBarExtra } from "@raycast/api";
import { MenuBarControls } from "./components/menu-bar-controls";
import { headOf, lastKnown, lineOf, linesOf } from "./components/menu-bar-text";
import { STATUS_LOOK } from "./components/status-look";
import { useSharingStatus } from "./hooks/use-sharing-status";

export default function MenuBar() {
  const { isLoading, ...look } = useSharingStatus();
  const { seen, failure } = look;
  const { icon, title, tooltip } = headOf(look);
  return (
    <MenuBarExtra icon={icon} title={title} tooltip={tooltip} isLoading={isLoading}>
      {failure && (
        <MenuBarExtra.Section title={failure.title}>
          <MenuBarExtra.Item icon={Icon.Warning} {...lineOf(failure.hint)} tooltip={failure.message} />
          {seen && <MenuBarExtra.Item icon={Icon.Clock} title={`Last Known: ${lastKnown(seen)}`} />}
        </MenuBarExtra.Section>
      )}
      {seen && !failure && (
        <MenuBarExtra.Section title={STATUS_LOOK[seen.status.state].word}>
          {linesOf(seen.status).map((line) => (
            <MenuBarExtra.Item key={line.title} {...line} />
          ))}
        </MenuBarExtra.Section>
      )}
      <MenuBarControls seen={seen} failure={failure} />
    </MenuBarExtra>
  );
}
