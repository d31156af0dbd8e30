import type { ValidationReport } from '../../shared/domain/content-validation.ts';
import type { DistributionJob } from '../../shared/domain/distribution-job.ts';
import {
  isUnsound,
  type UnsoundFile,
  type ValidationResult,
} from '../../shared/domain/validation-result.ts';
import type { StatusFacts } from '../status-manager/status-manager.ts';

/** Files a message names; the result has more of them. */
const namedMax = 3;

/** 2382, 2385, 2388 and 2383 of what is not as it should be; else 2384. */
export function resultMessages(
  job: DistributionJob,
  report: ValidationReport,
  result: ValidationResult,
): StatusFacts[] {
  const { packageId, sourceVersion, dpId } = result;
  const message = (messageId: StatusFacts['messageId'], text: string): StatusFacts => {
    const insertionStrings = [packageId, `${sourceVersion}`, dpId, text];
    return { messageId, packageId, sourceVersion, dpId, insertionStrings };
  };
  const { damagedCount, missingCount, fileCount, files } = result;
  const messages: StatusFacts[] = [];
  const lists = listsText(report, result);
  if (lists !== '') messages.push(message(2388, lists));
  if (damagedCount > 0) messages.push(message(2382, filesText(files, 'damaged', damagedCount)));
  if (missingCount > 0) messages.push(message(2385, filesText(files, 'missing', missingCount)));
  if (!isUnsound(result)) {
    return messages.length > 0 ? messages : [message(2384, `${fileCount}`)];
  }
  const repair = job.validation?.repair ? 'what is absent is brought again' : undefined;
  const next =
    result.failure ?? repair ?? `"waybill retry --package ${job.packageId}" brings it again`;
  const counts = `${damagedCount} damaged, ${missingCount} missing of ${fileCount} ${fileCount === 1 ? 'file' : 'files'}`;
  return [...messages, message(2383, `${counts}; ${next}.`)];
}

/** The same of the site's own library. */
export function ownResultMessages(
  report: ValidationReport,
  result: ValidationResult,
): StatusFacts[] {
  const { packageId, sourceVersion, siteCode, damagedCount, missingCount, fileCount } = result;
  const message = (messageId: StatusFacts['messageId'], text: string): StatusFacts => {
    const insertionStrings = [packageId, `${sourceVersion}`, `site ${siteCode}`, text];
    return { messageId, packageId, sourceVersion, insertionStrings };
  };
  const { files } = result;
  const messages: StatusFacts[] = [];
  if (report.damagedManifestCount > 0) messages.push(message(2388, damagedManifestText));
  if (damagedCount > 0) messages.push(message(2382, filesText(files, 'damaged', damagedCount)));
  if (missingCount > 0) messages.push(message(2385, filesText(files, 'missing', missingCount)));
  if (!isUnsound(result)) {
    return messages.length > 0 ? messages : [message(2384, `${fileCount}`)];
  }
  const next = result.failure ?? 'it is brought again';
  const counts = `${damagedCount} damaged, ${missingCount} missing of ${fileCount} ${fileCount === 1 ? 'file' : 'files'}`;
  return [...messages, message(2383, `${counts}; ${next}.`)];
}

const damagedManifestText =
  'a manifest or a signature is damaged; its files are looked at when it has come again';

/** What is wrong with the lists a DP goes by; empty: nothing. */
function listsText(report: ValidationReport, result: ValidationResult): string {
  if (report.heldVersion === 0) return 'it does not hold the package';
  if (report.heldVersion !== result.sourceVersion) return `it holds version ${report.heldVersion}`;
  return report.damagedManifestCount > 0 ? damagedManifestText : '';
}

function filesText(
  files: readonly UnsoundFile[],
  finding: UnsoundFile['finding'],
  count: number,
): string {
  const named = files.filter((file) => file.finding === finding).slice(0, namedMax);
  const texts = named.map(({ path, detail }) => (detail ? `${path} (${detail})` : path));
  const left = count - named.length;
  if (texts.length === 0) return `${count}`;
  return left > 0 ? `${texts.join(', ')} and ${left} more` : texts.join(', ');
}
