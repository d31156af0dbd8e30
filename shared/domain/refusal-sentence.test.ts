import assert from 'node:assert/strict';
import { WaybillError } from './errors.ts';
import { toRefusalSentence } from './refusal-sentence.ts';
import { requestInvalid } from './request-invalid.ts';

describe('sentences that refuse a value', () => {
  const refused = { expected: 'the name of a setting', actual: '"packets"' };

  it('say what was expected, then what came', () => {
    const sentence = 'changes: expected the name of a setting, got "packets"';
    assert.equal(toRefusalSentence('changes', refused), sentence);
  });

  it('say last what to do', () => {
    const remedy = '"waybill settings" shows those there are';
    assert.equal(
      toRefusalSentence('changes', { ...refused, remedy }),
      `changes: expected the name of a setting, got "packets". ${remedy}`,
    );
  });

  it('name nothing when the whole is refused', () => {
    assert.equal(toRefusalSentence('', refused), 'expected the name of a setting, got "packets"');
  });

  it('are those of requests and of messages', () => {
    const remedy = 'Ask site CS1';
    assert.equal(
      requestInvalid('holder', { ...refused, remedy }).message,
      toRefusalSentence('holder', { ...refused, remedy }),
    );
    const message = new WaybillError({ code: 'MESSAGE_INVALID', field: 'place', ...refused });
    assert.equal(message.message, toRefusalSentence('place', refused));
  });

  it('leave out a remedy that there is none of, also as a fact', () => {
    assert.deepEqual(
      { ...requestInvalid('holder', refused).details },
      { code: 'REQUEST_INVALID', field: 'holder', ...refused },
    );
  });
});
