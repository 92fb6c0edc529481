import type { Route } from "../router.ts";
import { actionRoutes } from "./actions.ts";
import { adminRoutes } from "./admin.ts";
import { approvalRoutes } from "./approvals.ts";
import { auditRoutes } from "./audit.ts";
import { checkpointRoutes } from "./checkpoints.ts";
import { executeRoutes } from "./execute.ts";
import { healthRoutes } from "./health.ts";
import { keyRoutes } from "./keys.ts";
import { leaseRoutes } from "./leases.ts";
import { payloadRoutes } from "./payloads.ts";
import { receiptRoutes } from "./receipts.ts";

export const ROUTES: readonly Route[] = [
  ...healthRoutes,
  ...leaseRoutes,
  ...actionRoutes,
  ...executeRoutes,
  ...approvalRoutes,
  ...receiptRoutes,
  ...checkpointRoutes,
  ...auditRoutes,
  ...adminRoutes,
  ...keyRoutes,
  ...payloadRoutes,
];
