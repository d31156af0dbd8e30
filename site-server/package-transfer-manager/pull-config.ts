/** How Package Transfer Manager deals with pull DPs (PULL-2, PULL-3). */
export interface PullConfig {
  /** Jobs one pull DP has at once; further ones wait for one to end. @default 50 */
  readonly jobsMax: number;
  /** Notifications at once. @default 20 */
  readonly notificationsMax: number;
  /** How long a job waits for a source, when none gets the content before. @default 20 min */
  readonly noSourceDelayMs: number;
  /** Looks for a source in a row after which a job has failed. @default 30 */
  readonly noSourceRetryCountMax: number;
  /** How long nothing is heard before a pull DP is asked, and asked again. @default 60 min */
  readonly pollDelayMs: number;
  /** Questions after which a job has failed. @default 72 */
  readonly pollCountMax: number;
}

const minuteMs = 60_000;

export const defaultPullConfig: PullConfig = {
  jobsMax: 50,
  notificationsMax: 20,
  noSourceDelayMs: 20 * minuteMs,
  noSourceRetryCountMax: 30,
  pollDelayMs: 60 * minuteMs,
  pollCountMax: 72,
};
