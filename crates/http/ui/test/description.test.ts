import assert from 'node:assert/strict';
import { test } from 'node:test';
import { examplePath, fieldsOf, sectionsOf, typeOf, type Description } from '../src/description/operations';

const description: Description = {
  info: { title: 'Dayreel', version: '1', description: '' },
  tags: [{ name: 'Streams' }, { name: 'Moments' }],
  paths: {
    '/{cam}/moment/generate/{length}': {
      post: {
        operationId: 'make',
        summary: 'Makes one',
        tags: ['Moments'],
        parameters: [
          { name: 'cam', in: 'path', description: '', required: true, schema: { type: 'string' }, example: 'front-door' },
          { name: 'length', in: 'path', description: '', required: true, schema: { type: 'integer', minimum: 4, maximum: 20 }, example: 5 },
          { name: 'label', in: 'query', description: '', required: false, schema: { type: 'string' }, example: 'postman' },
          { name: 'for', in: 'query', description: '', required: true, schema: { type: 'string' }, example: 'a b' },
        ],
        responses: {
          200: { description: 'It', content: { 'application/json': { schema: { $ref: '#/components/schemas/Made' }, example: { url: '/x' } } } },
          204: { description: 'Nothing' },
        },
      },
    },
  },
  components: {
    schemas: {
      Moment: { type: 'object', properties: { url: { type: 'string' } } },
      Made: { allOf: [{ $ref: '#/components/schemas/Moment' }, { type: 'object', properties: { gif_url: { type: ['string', 'null'] } } }] },
    },
  },
};

test('operations stand in the sections that the description names', () => {
  const sections = sectionsOf(description);
  assert.deepEqual(sections.map(([name, operations]) => [name, operations.length]), [['Streams', 0], ['Moments', 1]]);
  const answers = sections[1]?.[1][0]?.answers ?? [];
  assert.deepEqual(answers.map(({ status, mediaType }) => [status, mediaType]), [['200', 'application/json'], ['204', null]]);
});

test('examples are in the path, and in the query what has to be', () => {
  const operation = sectionsOf(description)[1]?.[1][0];
  assert.ok(operation);
  assert.equal(examplePath(operation, null), 'front-door/moment/generate/5?for=a+b');
  assert.equal(examplePath(operation, 'garden'), 'garden/moment/generate/5?for=a+b');
});

test('a schema is said in a few words', () => {
  assert.equal(typeOf({ type: 'integer', minimum: 1, maximum: 100 }), 'integer 1…100');
  assert.equal(typeOf({ type: 'array', items: { $ref: '#/components/schemas/Camera' } }), 'list of Camera');
  assert.equal(typeOf({ type: ['string', 'null'] }), 'string or null');
  assert.equal(typeOf({ enum: ['camera', null] }), 'camera, null');
  assert.equal(typeOf({ oneOf: [{ type: 'null' }, { $ref: '#/components/schemas/Video' }] }), 'null or Video');
  assert.equal(typeOf({ type: 'string', format: 'date' }), 'date');
  assert.equal(typeOf({}), 'bytes');
});

test('fields of a schema are those of its parts, too', () => {
  const names = fieldsOf(description, { $ref: '#/components/schemas/Made' }).map(([name]) => name);
  assert.deepEqual(names, ['url', 'gif_url']);
});
