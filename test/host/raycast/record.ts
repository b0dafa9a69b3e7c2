import type { AlertState, ToastState } from "./protocol";
import type { Json } from "./screen";

export type ToastEntry = ToastState;

export interface AlertEntry extends AlertState {
  confirmed: boolean;
}

export interface OpenedEntry {
  target: string;
  application?: string;
}

/** Something that happened, in order: `toast`, `hud`, `alert`, `open`, `launch`, `crash`, … */
export interface HostEvent {
  event: string;
  command: string;
  [field: string]: Json | undefined;
}
