/** DPs of any sites that are spoken of together: the row of "distribution point groups" (ADM-3). */
export interface DistributionPointGroup {
  readonly groupName: string;
  readonly description: string;
  readonly dpIds: readonly string[];
}

/**
 * A package that a group is to have, whoever joins it: the row of "group assignments". DPs that are in
 * the group get it by an assignment of their own, which their site makes.
 */
export interface GroupAssignment {
  readonly groupName: string;
  readonly packageId: string;
  readonly assignedAtMs: number;
}
