/**
 * The demo: real site servers and real DPs on this machine, packages from real directories,
 * distributed, updated and compared byte for byte. Everything lies in one temporary folder.
 */
import yargs from 'yargs';
import { hideBin } from 'yargs/helpers';
import { usageFailure } from '../../shared/runtime/usage-failure.ts';
import { DemoGround } from './demo-ground.ts';
import { HierarchyDemo } from './hierarchy-demo.ts';
import { SmallDemo } from './small-demo.ts';

const options = yargs(hideBin(process.argv))
  .scriptName('npm run demo --')
  .usage(
    '$0 [options]\n\nStarts a hierarchy of sites and their distribution points and sends them packages.',
  )
  .option('source', {
    type: 'string',
    requiresArg: true,
    describe: "directory to make the package from; default: Waybill's own node_modules",
  })
  .option('small', {
    type: 'boolean',
    default: false,
    describe: 'one site only; --dps and --pull choose this, too',
  })
  .option('dps', {
    type: 'number',
    requiresArg: true,
    describe: 'standard distribution points of the one site, 1 to 20; default: 2',
  })
  .option('pull', {
    type: 'number',
    requiresArg: true,
    describe: 'its pull DPs, 0 to 20, in a chain behind the first standard one; default: 2',
  })
  .option('keep', { type: 'boolean', default: false, describe: 'leave it running, to go on with' })
  .option('json', { type: 'boolean', default: false, describe: 'one JSON object at the end' })
  .example('$0 --source docs --dps 4', 'another directory, one site with four distribution points')
  .check(({ source }) => source !== '' || '--source: expected a directory')
  .check(
    ({ dps = 2 }) => (Number.isInteger(dps) && dps >= 1 && dps <= 20) || '--dps: expected 1 to 20',
  )
  .check(
    ({ pull = 2 }) =>
      (Number.isInteger(pull) && pull >= 0 && pull <= 20) || '--pull: expected 0 to 20',
  )
  .strict()
  .fail(
    usageFailure(
      'demo',
      'npm run demo -- [--source DIR] [--small] [--dps COUNT] [--pull COUNT] [--keep] [--json]',
    ),
  )
  .parseSync();

const ground = new DemoGround({ ...options, source: options.source });
const { small, dps, pull } = options;
const isSmall = small || dps !== undefined || pull !== undefined;
const demo = isSmall
  ? new SmallDemo(ground, { dps: dps ?? 2, pull: pull ?? 2 })
  : new HierarchyDemo(ground);
let isInterrupted = false;
for (const [signal, code] of [
  ['SIGINT', 130],
  ['SIGTERM', 143],
] as const) {
  process.once(signal, () => {
    isInterrupted = true;
    process.stderr.write('demo: interrupted\n');
    ground.stop().then(
      () => process.exit(code),
      () => process.exit(code),
    );
  });
}
try {
  await demo.run();
} catch (error) {
  // What was under way then has lost the ground it stood on.
  if (!isInterrupted) {
    process.stderr.write(`demo: ${error instanceof Error ? error.message : String(error)}\n`);
    process.exitCode = 1;
  }
} finally {
  await ground.stop();
}
