import { join } from 'node:path';
import type { Argv, CommandModule } from 'yargs';
import { addressForm, parseAddress } from '../../shared/domain/distribution-point.ts';
import { parseSiteCode } from '../../shared/domain/site.ts';
import {
  requireServerSite,
  requireText,
  runEnrollment,
  serverSiteOption,
} from '../../shared/enrollment/enrollment-program.ts';
import { afterEnrollment, runningAs } from '../../shared/enrollment/told-enrollment.ts';
import { actAs } from '../../shared/runtime/acting-user.ts';
import { enrollSite } from './enroll-site.ts';

const configDefault = '/etc/waybill/site.yaml';
const dataDefault = '/var/lib/waybill-site';
const unit = 'waybill-site.service';

interface Given {
  readonly site: string;
  readonly server: string;
  readonly serverSite?: string | undefined;
  readonly address?: string | undefined;
  readonly listen?: string | undefined;
  readonly enrollmentListen?: string | undefined;
  readonly config: string;
  readonly data: string;
  readonly force: boolean;
  readonly start: boolean;
}

/** `waybill-site enroll`. @param runSite goes on as the site server, in the foreground */
export function enrollCommand(
  runSite: (flags: { readonly config: string }) => void,
): CommandModule<object, Given> {
  return {
    command: 'enroll <site>',
    describe: 'makes this machine a site of a hierarchy, with a token from standard input',
    builder: (command) => options(command) as unknown as Argv<Given>,
    handler: (given) => enroll(given, runSite),
  };
}

function options(command: Argv<object>) {
  return command
    .positional('site', { type: 'string', demandOption: true, describe: 'site code' })
    .option('server', {
      ...{ type: 'string', demandOption: true },
      describe: 'host:port where a site of the hierarchy enrolls, as "waybill site add" printed it',
    })
    .option('server-site', serverSiteOption)
    .option('address', {
      type: 'string',
      describe: 'host:port by which it will be reached, when the hierarchy is to know another one',
    })
    .option('listen', { type: 'string', describe: 'host:port to listen on' })
    .option('enrollment-listen', {
      type: 'string',
      describe: 'host:port where it enrolls its own machines; default: 0.0.0.0:8532',
    })
    .option('config', {
      ...{ type: 'string', default: configDefault },
      describe: 'where its configuration goes; never over another one',
    })
    .option('data', {
      ...{ type: 'string', default: dataDefault },
      describe: 'its data directory; its authority goes into authority/ there',
    })
    .option('force', {
      ...{ type: 'boolean', default: false },
      describe: 'enroll it anew, though it has an authority of this name',
    })
    .option('start', {
      ...{ type: 'boolean', default: true },
      describe: 'start it: as a service, else in the foreground; --no-start: do not',
    })
    .example(
      'sudo $0 enroll PS1 --server cs1.example.org:8532 --server-site CS1',
      'with the token that "waybill site add PS1" printed',
    );
}

async function enroll(
  given: Given,
  runSite: (flags: { readonly config: string }) => void,
): Promise<void> {
  const { site, server, serverSite, address = '', listen, enrollmentListen } = given;
  const { config: configPath } = given;
  const program = 'waybill-site';
  requireText(program, '<site>', parseSiteCode(site), 'three of A-Z and 0-9');
  requireText(program, '--server', parseAddress(server), addressForm);
  requireServerSite(program, serverSite);
  requireText(program, '--address', address === '' || parseAddress(address), addressForm);
  const ended = await runEnrollment(program, async (needs) => {
    const end = await enrollSite(needs, {
      ...{ siteCode: site, server, serverSite, address, listen, enrollmentListen, configPath },
      ...{ dataDirectory: given.data, isForced: given.force },
    });
    const isGoingOn = await afterEnrollment(end, {
      ...{ what: `Site ${site}`, unit, isToStart: given.start, tell: needs.tell },
      isOfService: configPath === configDefault && join(given.data) === dataDefault,
      byHand: `waybill-site --config ${configPath}`,
      runningAs: () => runningAs(given.data, end.owner),
    });
    await end.finish();
    return { isGoingOn, user: end.owner };
  });
  if (!ended?.isGoingOn) return;
  actAs(ended.user);
  runSite({ config: configPath });
}
