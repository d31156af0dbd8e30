import assert from 'node:assert/strict';
import fc from 'fast-check';
import { callPolicy } from './call-policy.ts';
import { isLook, summaryOf } from './call-summary.ts';
import { methodDefinition } from './service-definitions.ts';
import { filledRequests } from './testing/filled-requests.ts';

/** What an administrator changes. */
const changingPaths = [...callPolicy]
  .filter(([path, { audited }]) => path.startsWith('/waybill.v1.Admin/') && audited === 'always')
  .map(([path]) => path);

/** May hold secrets, or is content. */
const leftOut: ReadonlySet<string> = new Set([
  ...['properties.icon', 'properties.programs.command_line'],
  ...['properties.programs.programs.command_line', 'properties.icon.bytes'],
]);

function methodOf(path: string) {
  return methodDefinition('Admin', path.slice(path.lastIndexOf('/') + 1));
}

function hours(count: number, level: string): string[] {
  return Array.from({ length: count }, () => `WINDOW_LEVEL_${level}`);
}

describe('summary of a request for the audit trail (ADM-5)', () => {
  const cases: readonly [string, unknown, string][] = [
    ['a package', { packageId: 'PS100001' }, 'packageId=PS100001'],
    [
      'targets',
      { packageId: 'PS100001', dpIds: ['PS1DP1', 'PS1DP2'], allDps: false },
      'packageId=PS100001 dpIds="PS1DP1, PS1DP2"',
    ],
    [
      'a new package, without its icon and command lines',
      {
        properties: {
          name: 'Office 16',
          icon: Buffer.alloc(9),
          programs: [{ name: 'Setup', commandLine: 'x' }],
        },
        sourceDirectories: ['/src/office'],
      },
      'sourceDirectories=/src/office name="Office 16" programs="name=Setup"',
    ],
    [
      'the action of a DP',
      { action: { packageId: 'PS100001', jobSerial: '7' }, redistribute: true },
      'redistribute=true packageId=PS100001 jobSerial=7',
    ],
    [
      'a package that two of its messages name, once',
      { action: { packageId: 'PS100001', jobSerial: '7' }, package: { packageId: 'PS100001' } },
      'packageId=PS100001 jobSerial=7',
    ],
    [
      'the opening of a stream',
      { body: 'open', open: { packageId: 'PS100001' } },
      'packageId=PS100001',
    ],
    [
      'a validation',
      { targets: { packageId: 'PS100001', dpIds: ['PS1DP1'] }, noRepair: true },
      'noRepair=true packageId=PS100001 dpIds=PS1DP1',
    ],
    [
      'settings',
      { changes: [{ name: 'sender.tries', value: '5' }, { name: 'nope' }] },
      'changes="name=sender.tries value=5; name=nope"',
    ],
    [
      'how many a long list has',
      { dpIds: Array.from({ length: 21 }, (_, index) => `D${index}`) },
      `dpIds="${Array.from({ length: 20 }, (_, index) => `D${index}`).join(', ')}, … 21 in all"`,
    ],
    [
      'a schedule, and the limits of both ways apart',
      {
        kind: 'DISTRIBUTION_POINT_KIND_UNSPECIFIED',
        controls: {
          schedule: { timeZone: 'UTC', hours: [...hours(9, 'OPEN'), ...hours(159, 'CLOSED')] },
        },
        serveControls: { limit: { kind: 'bytesPerSecond', bytesPerSecond: '2048' } },
      },
      'controls.schedule.timeZone=UTC controls.schedule.hours="9 open, 159 closed" serveControls.limit.kind=bytesPerSecond serveControls.limit.bytesPerSecond=2048',
    ],
    [
      'what is set to its default, or to nothing',
      { pinnedPriority: 0, _pinnedPriority: 'pinnedPriority', dpIds: { names: [] } },
      'pinnedPriority=0 dpIds={}',
    ],
    ['nothing', {}, ''],
    ['no message', undefined, ''],
  ];
  for (const [name, request, expected] of cases) {
    it(`tells ${name}`, () => assert.equal(summaryOf(request), expected));
  }

  it('is bounded and printable, whatever is asked', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 2_000 }), (text) => {
        const summary = summaryOf({ packageId: text, dpId: text, dpIds: [text, text] });
        assert.ok(summary.length <= 801);
        assert.doesNotMatch(summary, /\p{Cc}/u);
      }),
    );
  });

  for (const path of changingPaths) {
    it(`has each field of ${path}`, () => {
      const method = methodOf(path);
      for (const [field, request] of filledRequests(method)) {
        if (leftOut.has(field)) continue;
        const summary = summaryOf(method.requestDeserialize(method.requestSerialize(request)));
        assert.notEqual(summary, '', field);
        assert.doesNotMatch(summary, /UNSPECIFIED|\{\}/, field);
      }
    });
  }
});

describe('a look at what a request would change (ADM-5)', () => {
  for (const [request, expected] of [
    [{ all: true, lookOnly: true }, true],
    [{ dpId: 'PS1DP1', dryRun: true }, true],
    [{ jobs: { all: true, lookOnly: true } }, true],
    [{ all: true, lookOnly: false }, false],
    [{ jobs: null }, false],
    [undefined, false],
  ] as const) {
    it(`${expected ? 'is' : 'is not'} ${JSON.stringify(request)}`, () => {
      assert.equal(isLook(request), expected);
    });
  }
});
