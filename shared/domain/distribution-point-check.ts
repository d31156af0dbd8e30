import type { WaitingReason } from './distribution-job.ts';
import type { DistributionPoint } from './distribution-point.ts';
import type { DistributionPointHealth } from './distribution-point-health.ts';
import type { ToldCertificate } from './known-certificate.ts';

/** What a DP says of itself when its site asks. */
export interface CheckResult {
  readonly dpId: string;
  readonly siteCode: string;
  /** Version of the agent, such as 0.1.0. */
  readonly agentVersion: string;
  /** Room left for content in the library's file system. */
  readonly freeBytes: number;
  /** Absent from agents of before. */
  readonly certificate?: ToldCertificate;
}

/** Why a job that is made now will wait. */
export interface CheckFailure {
  readonly waitingReason: Extract<WaitingReason, 'dp-unreachable' | 'disk-full-at-dp'>;
  readonly reason: string;
}

/**
 * Judges the answer of a DP (DM-4), or finds nothing wrong. A DP of another name or site counts as
 * not reached: the one that is meant was not.
 */
export function misfitOf(
  distributionPoint: DistributionPoint,
  result: CheckResult,
): CheckFailure | undefined {
  const { dpId, siteCode, address } = distributionPoint;
  if (result.dpId !== dpId) {
    return unreached(`${address} says it is distribution point ${result.dpId}, not ${dpId}`);
  }
  if (result.siteCode !== siteCode) {
    return unreached(`${dpId} says it belongs to site ${result.siteCode}, not ${siteCode}`);
  }
  if (!/^\d+\.\d+\.\d+/.test(result.agentVersion)) {
    return unreached(`${dpId} names no version of its agent; expected one such as 0.1.0`);
  }
  return undefined;
}

/** Judges the room at a DP that may need so many bytes; fewer when it has some files already. */
export function shortageOf(
  dpId: string,
  room: { readonly freeBytes: number; readonly neededBytes: number },
): CheckFailure | undefined {
  if (room.freeBytes > 0 && room.freeBytes >= room.neededBytes) return undefined;
  const reason = `${dpId} has ${room.freeBytes} bytes free; up to ${room.neededBytes} are needed`;
  return { waitingReason: 'disk-full-at-dp', reason };
}

/** The DP's health once it answered. */
export function withAnswer(
  health: DistributionPointHealth,
  answer: { readonly result: CheckResult; readonly reason: string },
  nowMs: number,
): DistributionPointHealth {
  return {
    ...health,
    reachability: answer.reason === '' ? 'reachable' : 'unreachable',
    reason: answer.reason,
    checkedAtMs: nowMs,
    agentVersion: answer.result.agentVersion.slice(0, agentVersionCharsMax),
    freeBytes: answer.result.freeBytes,
    ...(answer.result.certificate && { certificate: answer.result.certificate }),
  };
}

/** The DP's health once it was found unreachable. */
export function withoutAnswer(
  health: DistributionPointHealth,
  reason: string,
  nowMs: number,
): DistributionPointHealth {
  return { ...health, reachability: 'unreachable', reason, checkedAtMs: nowMs };
}

/** A version from the wire is kept no longer than this. */
const agentVersionCharsMax = 64;

function unreached(reason: string): CheckFailure {
  return { waitingReason: 'dp-unreachable', reason };
}
