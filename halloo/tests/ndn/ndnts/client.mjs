// Asks a ping server by NDNts: as many probes as wanted, each answer checked. Its one argument is in JSON: transport (a
// face URI), prefix (with the `ping` component), start, count, key.

import { consume } from "@ndn/endpoint";
import { Interest } from "@ndn/packet";

const setting = JSON.parse(process.argv[1]);
const face = await connect(setting.transport);
const [, verifier] = await pair(setting.key);
for (let number = setting.start; number < setting.start + setting.count; ++number) {
  const interest = new Interest(`${setting.prefix}/${number}`, Interest.MustBeFresh, Interest.Lifetime(4000));
  try {
    const data = await consume(interest, { verifier });
    console.log(`${data.name.equals(interest.name) ? "content" : "WRONG NAME"} ${number} ${data.content.length}`);
  } catch (error) {
    console.log(`failed ${number} ${error}`);
  }
}
face.close();
process.exit(0);
