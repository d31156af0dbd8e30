/**
 * That a content is, or is just arriving, at a DP: the row of table "content DP map". What is just
 * arriving can be fetched there as far as it has come (PULL-11).
 */
export interface ContentLocation {
  readonly packageId: string;
  readonly sourceVersion: number;
  readonly state: 'arriving' | 'held';
  readonly sinceMs: number;
}
