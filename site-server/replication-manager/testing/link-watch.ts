import type { TestHierarchy } from './test-hierarchy.ts';

/** What has gone over the link of a child since the watch began, both ways together. */
export interface LinkWatch {
  rowCount: number;
  /** Messages that are a part of a full copy. */
  copyPartCount: number;
}

/** Counts from now on, in the place of whoever counted before. */
export function watchLink(hierarchy: TestHierarchy, watched: string): LinkWatch {
  const seen = { rowCount: 0, copyPartCount: 0 };
  hierarchy.onMessage = (child, message) => {
    if (child !== watched || !message?.changes) return;
    seen.rowCount += message.changes.rows.length;
    if (message.changes.fullCopy) seen.copyPartCount += 1;
  };
  return seen;
}
