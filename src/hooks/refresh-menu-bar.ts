import { LaunchType, launchCommand } from "@raycast/api";

/** Shows a change in the menu bar at once, where the user has it switched on. */
export async function refreshMenuBar(): Promise<void> {
  try {
    await launchCommand({ name: "menu-bar", type: LaunchType.Background });
  } catch {
    // Nobody asked for it: the command is disabled, or was never opened.
  }
}
