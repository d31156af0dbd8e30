import type { Clock } from '../../shared/runtime/clock.ts';
import type { Admin } from './admin.ts';
import type { Output } from './output.ts';
import type { PackageAccess } from './package-get/package-access.ts';

/** What a command works with. */
export interface Session {
  readonly admin: Admin;
  readonly output: Output;
  readonly clock: Clock;
  /** The way to content, as a client has it. The caller closes it. */
  readonly openPackages: () => Promise<PackageAccess>;
  /** Fires at Ctrl-C. */
  readonly signal: AbortSignal;
  /** host:port of the site server, as it was given. */
  readonly serverAddress: string;
  /** IANA name; undefined: the zone of this machine. */
  readonly timeZone: string | undefined;
  /**
   * A session with another site of the hierarchy; with none named, or with the site that is connected
   * anyway, this one.
   *
   * @throws SITE_UNKNOWN, CommandFailure SITE_ADDRESS_UNKNOWN
   */
  readonly atSite: (siteCode: string | undefined) => Promise<Session>;
  /** Asks the administrator, who gives no answer when the input has ended; undefined when there is nobody to ask. */
  readonly question: ((text: string) => Promise<string | undefined>) | undefined;
}
