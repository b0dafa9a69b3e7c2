import { ActionPanel, List, type Image } from "@raycast/api";
import type { ReactNode } from "react";

/** A short fact of the pane beside the list. */
export interface Fact {
  title: string;
  text?: string;
  icon?: Image.ImageLike;
}

interface FactRowProps {
  id: string;
  title: string;
  subtitle?: string;
  icon: Image.ImageLike;
  accessories?: List.Item.Accessory[];
  /** Sentences, above the facts. */
  markdown?: string;
  facts?: readonly Fact[];
  keywords?: string[];
  /** Of an `ActionPanel`; the first is what Enter does. */
  actions: ReactNode;
}

/** A row with sentences and facts beside it. */
export function FactRow({ id, title, subtitle, icon, accessories, markdown, facts, keywords, actions }: FactRowProps) {
  const metadata = facts && facts.length > 0 && (
    <List.Item.Detail.Metadata>
      {facts.map((fact) => (
        <List.Item.Detail.Metadata.Label key={fact.title} title={fact.title} text={fact.text} icon={fact.icon} />
      ))}
    </List.Item.Detail.Metadata>
  );
  return (
    <List.Item
      id={id}
      title={title}
      subtitle={subtitle}
      icon={icon}
      accessories={accessories}
      keywords={keywords}
      detail={<List.Item.Detail markdown={markdown} metadata={metadata || undefined} />}
      actions={<ActionPanel>{actions}</ActionPanel>}
    />
  );
}
