/** The carriers there are: whose accounts and keys this node's settings give, and how people read of them. */
import { type Carrier, createSignalWire, createTwilio } from "#runtime/edge";
import type { Settings } from "./settings.js";

export interface CarrierAccount {
  readonly carrier: Carrier;
  /** As people write it. */
  readonly label: string;
  /** The one account whose calls are ours; undefined for any. */
  readonly account: string | undefined;
}

export function carrierAccounts(settings: Settings): readonly CarrierAccount[] {
  return [
    {
      carrier: createTwilio({
        authTokens: present(settings.TWILIO_AUTH_TOKEN, settings.TWILIO_AUTH_TOKEN_NEXT),
      }),
      label: "Twilio",
      account: settings.TWILIO_ACCOUNT_SID,
    },
    {
      carrier: createSignalWire({
        signingKeys: present(settings.SIGNALWIRE_SIGNING_KEY, settings.SIGNALWIRE_SIGNING_KEY_NEXT),
      }),
      label: "SignalWire",
      account: settings.SIGNALWIRE_PROJECT_ID,
    },
  ];
}

/** The key in force, and the one it is being rotated to. */
function present(...keys: (string | undefined)[]): string[] {
  return keys.filter((key) => key !== undefined);
}
