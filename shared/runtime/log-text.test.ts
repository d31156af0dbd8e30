import assert from 'node:assert/strict';
import { logFormFor, toLogJson, toLogText } from './log-text.ts';

const thenMs = Date.UTC(2026, 2, 14, 9, 26, 53);
const plain = { timeZone: 'UTC', paint: (_tone: string, text: string) => text };

describe('a log line', () => {
  const cases: readonly (readonly [string, object | string, string])[] = [
    [
      'of a failure',
      {
        level: 50,
        time: thenMs + 7,
        component: 'despooler',
        msg: 'It broke',
        err: { message: 'a b', stack: 'x' },
      },
      '2026-03-14 09:26:53.007  ERROR  despooler  It broke  err="a b"',
    ],
    [
      'of values',
      {
        level: 30,
        time: '2026-03-14T09:26:53.007Z',
        msg: 'Moved',
        from: 'ready',
        to: 'started',
        parts: [1],
      },
      '2026-03-14 09:26:53.007  INFO   -  Moved  from=ready to=started parts=[1]',
    ],
    ['without a time', { level: 35, msg: 'No time' }, '-  LOG    -  No time'],
    [
      'of a time beyond all calendars',
      { level: 30, time: 1e99, msg: 'a\u001b[2J' },
      '1e+99  INFO   -  a\\u001b[2J',
    ],
    [
      'whose words are objects',
      { level: { toString: 1 }, time: { toString: 1 }, component: [1], msg: { toString: -1 } },
      '{"toString":1}  LOG    [1]  {"toString":-1}',
    ],
    ['that is no JSON', 'Segmentation fault \u001b[2J', 'Segmentation fault \\u001b[2J'],
    ['that is no object', '[1]', '[1]'],
    ['that is empty', '', ''],
  ];
  for (const [name, entry, expected] of cases) {
    it(`${name} is text for people`, () => {
      const line = typeof entry === 'string' ? entry : JSON.stringify(entry);
      assert.equal(toLogText(line, plain), expected);
    });
  }

  it('as JSON is what is in the file, or an object around what is no JSON', () => {
    const line = '{"level":30,"msg":"Moved"}';
    assert.equal(toLogJson(line), line);
    assert.equal(toLogJson('Segmentation fault \u009b'), '{"line":"Segmentation fault \\u009b"}');
  });
});

describe('what a process prints of its log', () => {
  const line = `${JSON.stringify({ level: 40, time: thenMs, component: 'rpc', msg: 'Slow' })}\n`;

  it('is the JSON as in the file where there is no terminal', () => {
    assert.equal(logFormFor({}, {})(line), line);
    assert.equal(logFormFor({ isTTY: false }, {})(line), line);
  });

  it('is for people on a terminal, without colours where they are not wanted', () => {
    const told = logFormFor({ isTTY: true }, { NO_COLOR: '1' })(line);
    assert.match(told, /^\d{4}-\d\d-\d\d [\d:]{8}\.000 {2}WARN {3}rpc {2}Slow\n$/);
    const colored = logFormFor({ isTTY: true }, { TERM: 'xterm' })(line);
    assert.ok(colored.endsWith('\u001b[33mWARN \u001b[39m  rpc  Slow\n'), colored);
  });
});
