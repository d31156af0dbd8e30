import type { PackageVersion } from '../../shared/domain/package.ts';
import type { StatusFacts } from '../status-manager/status-manager.ts';

/** 2376, 2311, 2301: a version was read and can be distributed. */
export function publishedReports({
  packageId,
  sourceVersion,
  contents,
}: PackageVersion): StatusFacts[] {
  const files = contents.reduce((sum, { fileCount }) => sum + fileCount, 0);
  const bytes = contents.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  const about = { packageId, sourceVersion };
  const taken = [packageId, `${sourceVersion}`, `${files}`, `${bytes}`];
  return [
    { ...about, messageId: 2376, insertionStrings: taken },
    { ...about, messageId: 2311, insertionStrings: taken.slice(0, 2) },
    { ...about, messageId: 2301, insertionStrings: [packageId] },
  ];
}

/** 2301: a version that another site published is here and can be distributed. */
export function arrivedReports({ packageId, sourceVersion }: PackageVersion): StatusFacts[] {
  return [{ messageId: 2301, insertionStrings: [packageId], packageId, sourceVersion }];
}

/** 2306, 2302: a request could not be served, for this reason. */
export function failureReports(
  packageId: string,
  messageIds: readonly (2302 | 2306)[],
  reason: string,
): StatusFacts[] {
  return messageIds.map((messageId) => {
    return { messageId, insertionStrings: [packageId, reason], packageId };
  });
}
