import { showHUD } from "@raycast/api";

export default function Off() {
  return showHUD("Switched on");
}
