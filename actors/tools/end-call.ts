/** Hanging up, after the agent's last words were heard. */
import { z } from "zod";
import { defineTool } from "./tool.js";

export const endCall = defineTool({
  name: "end_call",
  description:
    "End the phone call. Use it only when the caller has said goodbye or has nothing more to ask. " +
    "Say a short goodbye in the same answer.",
  parameters: z.strictObject({
    reason: z.string().max(200).optional().describe("Why the call is over, in a few words."),
  }),
  run: () => ({ text: "The call ends after your goodbye.", endCall: true }),
});
