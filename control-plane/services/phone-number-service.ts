/** Numbers (lumentra.control.v1.PhoneNumberService). Of another reseller's number no more is told than that it is taken. */
import { parsePhoneNumberFromString } from "libphonenumber-js";
import type { PhoneNumberServiceHandlers, PhoneNumber__Output } from "#proto";
import { LumentraError } from "#runtime/errors";
import { violated } from "#runtime/rpc";
import type { ServiceOf } from "../server/handlers.js";
import type { Store } from "../store/store.js";
import { phoneNumberToProto } from "./convert.js";
import { Checks, type PageTokens, notFound, once, openPage, updated } from "./requests.js";

export interface PhoneNumberServiceDeps {
  readonly store: Store;
  readonly pages: PageTokens;
}

export function createPhoneNumberService({
  store,
  pages,
}: PhoneNumberServiceDeps): ServiceOf<PhoneNumberServiceHandlers> {
  return {
    GetPhoneNumber: async ({ number }, { scope, actor }) => {
      const row = await store.transaction(scope, actor, (tx) => tx.phoneNumbers.get(number));
      if (row === null) throw notFound("number");
      return { phoneNumber: phoneNumberToProto(row) };
    },

    ListPhoneNumbers: async (request, caller) => {
      const { tenantId } = request;
      const page = openPage(pages, caller, "ListPhoneNumbers", request, { tenantId });
      const { rows, next } = await store.transaction(caller.scope, caller.actor, (tx) =>
        tx.phoneNumbers.list(tenantId === "" ? {} : { tenantId }, page),
      );
      return { phoneNumbers: rows.map(phoneNumberToProto), nextPageToken: page.seal(next) };
    },

    CreatePhoneNumber: async (request, caller) => {
      const fields = checked(request.phoneNumber);
      return store.transaction(caller.scope, caller.actor, (tx) =>
        once(tx, caller, "CreatePhoneNumber", request, async () => {
          const row = await tx.phoneNumbers.create(fields);
          if (row === null) throw notFound("tenant");
          if (row === "taken") throw new LumentraError("ALREADY_EXISTS", "the number is taken");
          return { phoneNumber: phoneNumberToProto(row) };
        }),
      );
    },

    UpdatePhoneNumber: async ({ phoneNumber }, { scope, actor }) => {
      const { number, ...changes } = checked(phoneNumber);
      const etag = phoneNumber?.etag ?? "";
      const result = await store.transaction(scope, actor, (tx) =>
        tx.phoneNumbers.update(number, etag, changes),
      );
      if (result === "noTenant") throw notFound("tenant of the number's reseller");
      return { phoneNumber: phoneNumberToProto(updated(result, "number")) };
    },

    DeletePhoneNumber: async ({ number, etag }, { scope, actor }) => {
      const result = await store.transaction(scope, actor, (tx) => tx.phoneNumbers.delete(number, etag));
      updated(result, "number");
      return {};
    },
  };
}

function checked(message: PhoneNumber__Output | null): {
  readonly number: string;
  readonly tenantId: string;
  readonly label: string;
} {
  if (message === null) throw violated([{ field: "phone_number", description: "is required" }]);
  const { number, tenantId, label } = message;
  const parsed = parsePhoneNumberFromString(number);
  const checks = new Checks();
  checks.require(
    parsed?.number === number && parsed.isPossible(),
    "phone_number.number",
    "must be a phone number in E.164, such as +12025550101",
  );
  checks.id(tenantId, "phone_number.tenant_id");
  checks.text(label, "phone_number.label", 0, 100);
  checks.done();
  return { number, tenantId, label };
}
