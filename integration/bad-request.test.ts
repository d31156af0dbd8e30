import assert from 'node:assert/strict';
import { Network } from './network.ts';
import { programs, runProgram, runWaybill } from './programs.ts';

describe('a request that makes no sense (ADM-3, ADM-6)', () => {
  let network: Network;

  before(async () => {
    network = await Network.start({ distributionPoints: ['PS1DP1'] });
  });

  after(() => network.stop());

  /** 1: asked for and refused. 2: not understood, nothing was asked. */
  const refusals: readonly (readonly [command: string, exitCode: 1 | 2, sentence: RegExp])[] = [
    ['package show PS100009', 1, /no package PS100009\. "waybill package list" shows those there/],
    ['package update PS100009', 1, /no package PS100009/],
    ['package distribute PS100009 --all', 1, /no package PS100009/],
    ['package delete PS100009 --yes', 1, /no package PS100009/],
    ['dp check NOWHERE', 1, /no distribution point NOWHERE\. "waybill dp list" shows those there/],
    ['dp delete NOWHERE --yes', 1, /no distribution point NOWHERE/],
    ['dp add PS1DP1 --address 127.0.0.1:1', 1, /PS1DP1 exists already\. "waybill dp set" changes/],
    ['logs nothing', 1, /no log nothing; expected one of .*hman/],
    ['package show ps1-1', 2, /expected .*PS100001/],
    ['dp add PS1DP2 --address nowhere', 2, /expected host:port/],
    ['package create --name x --source relative/path', 2, /expected an absolute path/],
    ['package create --name x', 2, /expected --source/],
    ['package distribute PS100001', 2, /expected either --dp, .* or --all/],
    ['jobs --limit many', 2, /--limit: expected/],
    ['messages --severity loud', 2, /--severity: expected/],
    ['frobnicate', 2, /"frobnicate" is no command/],
    ['status --colour', 2, /unknown option --colour/],
  ];

  for (const [command, exitCode, sentence] of refusals) {
    it(`waybill ${command}: exit code ${exitCode}, and what was expected`, async () => {
      const end = await runWaybill(network, command.split(' '));
      assert.match(end.stderr, sentence);
      assert.deepEqual([end.exitCode, end.stdout], [exitCode, '']);
    });
  }

  it('a second agent on the same data directory: says who has it and ends; the first goes on (architecture 8)', async () => {
    for (const [agent, program] of [
      [network.site, programs.waybillSite],
      [network.dp('PS1DP1'), programs.waybillDp],
    ] as const) {
      const words = ['--config', agent.configPath, '--listen', '127.0.0.1:0'];
      const { exitCode, stdout, stderr } = await runProgram(program, words);
      assert.equal(exitCode, 1);
      const inUse = `in use by process ${agent.pid}; stop it, or choose another directory`;
      assert.ok((stdout + stderr).includes(inUse), stdout + stderr);
      assert.ok(agent.isRunning);
    }
    const { exitCode } = await runWaybill(network, ['dp', 'check', 'PS1DP1']);
    assert.equal(exitCode, 0);
  });

  it('an address that is taken, and a configuration nobody understands: the agent says so and ends', async () => {
    const { configPath, address } = network.site;
    const taken = await runProgram(programs.waybillDp, [
      ...['--config', network.dp('PS1DP1').configPath, '--listen', address],
    ]);
    assert.equal(taken.exitCode, 1);
    const wrong = await runProgram(programs.waybillDp, ['--config', configPath]);
    assert.equal(wrong.exitCode, 1);
    assert.match(wrong.stdout + wrong.stderr, /Configuration .* is not valid/);
    assert.match(wrong.stdout + wrong.stderr, /dpId/);
  });
});
