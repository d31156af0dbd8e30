import { fromIdentityUri, type PeerIdentity } from '../../shared/domain/peer-identity.ts';
import { toTimeText } from '../../shared/runtime/time-text.ts';
import { type Command, command } from './command.ts';
import { UsageError } from './command-failure.ts';
import { flag, personNameText, positional } from './options.ts';

/** Who is to be enrolled on this machine. */
export interface OwnEnrollment {
  readonly identity: PeerIdentity;
  /** host:port of the enrollment port of a site. */
  readonly server: string;
  /** The site that must answer there; undefined: any of the hierarchy. */
  readonly serverSite: string | undefined;
  readonly isForced: boolean;
}

/** What came of it. */
export interface OwnEnrollmentEnd {
  /** False: he was enrolled before. */
  readonly isNew: boolean;
  readonly notAfterMs: number;
  /** Where the configuration is that `waybill` uses from now on. */
  readonly configPath: string;
  /** host:port of the site server it asks. */
  readonly serverAddress: string;
}

const enroll = command({
  path: 'enroll',
  positionals: '<name>',
  summary: 'Get the certificate of an administrator or a client, with a token from standard input',
  example: 'waybill enroll bob --server site.example.org:8532 --server-site PS1',
  options: (parser) =>
    parser
      .positional('name', positional('name', 'Whom the token is for', personNameText))
      .option('client', flag('It is the token of a client'))
      .option('force', flag('Anew, though there is a certificate of this name')),
  runAlone: async ({ name, server, serverSite, client, force }, alone) => {
    if (server === undefined) throw new UsageError('expected --server');
    const { output, timeZone, enrollHere } = alone;
    const identity = toIdentity(name, client);
    const end = await enrollHere({ identity, server, serverSite, isForced: force });
    output.record({ name, ...end });
    const until = toTimeText(end.notAfterMs, timeZone);
    const fate = end.isNew ? 'is enrolled' : 'was enrolled before';
    output.sentence(
      `${name} ${fate}, until ${until}. waybill asks ${end.serverAddress} from now on.`,
    );
  },
});

/** `waybill enroll`. */
export const enrollCommands: readonly Command[] = [enroll];

/** Role and scope of an administrator are those of the token. */
function toIdentity(name: string, isClient: boolean): PeerIdentity {
  const uri = isClient ? `waybill://client/${name}` : `waybill://admin/read-only/${name}`;
  const identity = fromIdentityUri(uri);
  if (identity) return identity;
  throw new UsageError(`<name>: expected ${personNameText.expected}`);
}
