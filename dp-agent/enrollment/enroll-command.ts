import { join } from 'node:path';
import type { Argv, CommandModule } from 'yargs';
import {
  addressForm,
  parseAddress,
  parseDistributionPointId,
} from '../../shared/domain/distribution-point.ts';
import {
  requireServerSite,
  requireText,
  runEnrollment,
  serverSiteOption,
} from '../../shared/enrollment/enrollment-program.ts';
import { afterEnrollment, runningAs } from '../../shared/enrollment/told-enrollment.ts';
import { actAs } from '../../shared/runtime/acting-user.ts';
import { enrollDistributionPoint } from './enroll-distribution-point.ts';

const configDefault = '/etc/waybill/dp.yaml';
const dataDefault = '/var/lib/waybill-dp';
const unit = 'waybill-dp.service';

interface Given {
  readonly dp: string;
  readonly server: string;
  readonly serverSite?: string | undefined;
  readonly address?: string | undefined;
  readonly listen?: string | undefined;
  readonly config: string;
  readonly data: string;
  readonly force: boolean;
  readonly start: boolean;
}

/** `waybill-dp enroll`. @param runAgent goes on as the agent, in the foreground */
export function enrollCommand(
  runAgent: (flags: { readonly config: string }) => void,
): CommandModule<object, Given> {
  return {
    command: 'enroll <dp>',
    describe: 'makes this machine a distribution point, with a token from standard input',
    builder: (command) => options(command) as Argv<Given>,
    handler: (given) => enroll(given, runAgent),
  };
}

function options(command: Argv<object>) {
  return command
    .positional('dp', { type: 'string', demandOption: true, describe: 'name of the DP' })
    .option('server', {
      ...{ type: 'string', demandOption: true },
      describe: 'host:port where its site enrolls, as "waybill dp add" printed it',
    })
    .option('server-site', serverSiteOption)
    .option('address', {
      type: 'string',
      describe: 'host:port by which it will be reached, when the site is to know another one',
    })
    .option('listen', { type: 'string', describe: 'host:port to listen on' })
    .option('config', {
      ...{ type: 'string', default: configDefault },
      describe: 'where its configuration goes; never over another one',
    })
    .option('data', {
      ...{ type: 'string', default: dataDefault },
      describe: 'its data directory; certificate and key go into identity/ there',
    })
    .option('force', {
      ...{ type: 'boolean', default: false },
      describe: 'enroll it anew, though it has a certificate of this name',
    })
    .option('start', {
      ...{ type: 'boolean', default: true },
      describe: 'start it: as a service, else in the foreground; --no-start: do not',
    })
    .example(
      'sudo $0 enroll PS1DP1 --server site.example.org:8532 --server-site PS1',
      'with the token that "waybill dp add PS1DP1" printed',
    );
}

async function enroll(
  given: Given,
  runAgent: (flags: { readonly config: string }) => void,
): Promise<void> {
  const { dp, server, serverSite, address = '', listen, config: configPath, data } = given;
  const program = 'waybill-dp';
  requireText(program, '<dp>', parseDistributionPointId(dp), 'a name such as PS1DP1');
  requireText(program, '--server', parseAddress(server), addressForm);
  requireServerSite(program, serverSite);
  requireText(program, '--address', address === '' || parseAddress(address), addressForm);
  const ended = await runEnrollment(program, async (needs) => {
    const end = await enrollDistributionPoint(needs, {
      ...{ dpId: dp, server, serverSite, address, listen, configPath },
      ...{ dataDirectory: data, isForced: given.force },
    });
    const isGoingOn = await afterEnrollment(end, {
      ...{ what: `Distribution point ${dp}`, unit, isToStart: given.start, tell: needs.tell },
      isOfService: configPath === configDefault && join(data) === dataDefault,
      byHand: `waybill-dp --config ${configPath}`,
      runningAs: () => runningAs(data, end.owner),
    });
    await end.finish();
    return { isGoingOn, user: end.owner };
  });
  if (!ended?.isGoingOn) return;
  actAs(ended.user);
  runAgent({ config: configPath });
}
