import { LaunchType, launchCommand } from "@raycast/api";

/** Shows a change in the menu bar at once, where the user has it switched on. */
export async function refreshMenuBar(): Promise<void> {
  try {
    await launchMenuBar(LaunchType.Background);
  } catch {
    // Nobody asked for it: the command is disabled, or was never opened.
  }
}

/**
 * The same at the beginning of something that outlives its window. A menu bar that was never opened is opened once, as
 * Raycast runs it in the background only from then on; one that is disabled stays so. It takes no window.
 */
export async function showMenuBar(): Promise<void> {
  try {
    await launchMenuBar(LaunchType.Background);
  } catch {
    await launchMenuBar(LaunchType.UserInitiated).catch(() => undefined);
  }
}

function launchMenuBar(type: LaunchType): Promise<void> {
  return launchCommand({ name: "menu-bar", type });
}
