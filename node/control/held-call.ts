/** A call of which this node holds the lease, as the control plane counts it. */
export interface HeldCall {
  readonly callId: string;
  readonly epoch: number;
  readonly tenantId: string;
  readonly carrier: string;
  readonly carrierCallId: string;
  /** Media has arrived. */
  readonly live: boolean;
}
