// What the drivers of Node clients share; harness.py explains it.

export const server = JSON.parse(process.argv[2]);
export const stdio = 'command' in server;
export const uri = `callers://campaigns/${server.id}`;
export const prompt = { name: 'review_campaign', arguments: { campaign: server.id } };

export function expect(found, where) {
  const text = JSON.stringify(where);
  if (!text.includes(found)) throw new Error(`no ${found} in ${text.slice(0, 300)}`);
}

const control = async (path) => (await fetch(`${server.control}/${path}`)).json();

// Cancel a call of the held campaign; check that its look-up ends before the connection does.
export async function cancelled(call, nextCall) {
  const controller = new AbortController();
  const ended = call(controller.signal).catch(() => {});
  await control('arrived');
  controller.abort();
  await ended;
  await nextCall();
  if (!(await control('abandoned'))) throw new Error('the look-up went on');
}

export async function run(checks) {
  const results = { connects: true };
  for (const [name, check] of Object.entries(checks)) {
    try {
      if (check) await check();
      results[name] = check ? true : null;
    } catch (error) {
      results[name] = String(error).slice(0, 400);
    }
  }
  console.log(JSON.stringify(results));
  process.exit();
}
