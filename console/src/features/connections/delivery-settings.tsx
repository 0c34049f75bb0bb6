// How a connection is delivered to: where, how fast, in which order, how often again.
import { useCatalogue } from "@/api/catalogue";
import type { Connection } from "@/api/connections";
import { isCustom } from "@/lib/destination";
import { DestinationSetting } from "./destination-setting";
import { DigestSetting } from "./digest-setting";
import { HeadersSetting } from "./headers-setting";
import { OrderingSetting } from "./ordering-setting";
import { RateSetting } from "./rate-setting";
import { RetrySetting } from "./retry-setting";

export interface SettingProps {
  connection: Connection;
  mayChange: boolean;
}

export function DeliverySettings({ connection, mayChange }: SettingProps) {
  const provider = useCatalogue().data?.find((one) => one.id === connection.provider);
  // A key with the version: what was typed is forgotten when it is saved, or somebody else saves.
  const props = { connection, mayChange };
  const isChat = connection.provider === "slack" || connection.provider === "discord";
  return (
    <div className="grid items-start gap-4 lg:grid-cols-2">
      {provider?.destination && <DestinationSetting {...props} key={`${connection.version}-destination`} noun={provider.destination} />}
      <RateSetting {...props} key={`${connection.version}-rate`} />
      <RetrySetting {...props} key={`${connection.version}-retry`} />
      {(isCustom(connection.provider) || isChat) && <OrderingSetting {...props} key={`${connection.version}-ordering`} />}
      {isChat && <DigestSetting {...props} key={`${connection.version}-digest`} />}
      {isCustom(connection.provider) && <HeadersSetting {...props} key={`${connection.version}-headers`} />}
    </div>
  );
}
