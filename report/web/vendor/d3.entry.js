// What the report uses of d3. vendor/d3.js is this file bundled:
//   npm install d3-array@3.2.5 d3-axis@3.0.1 d3-scale@4.0.3 d3-selection@3.0.1 d3-shape@3.2.1 esbuild
//   npx esbuild d3.entry.js --bundle --minify --format=iife --global-name=d3 --outfile=d3.js
export { select } from "d3-selection";
export { scaleLinear } from "d3-scale";
export { axisBottom, axisLeft } from "d3-axis";
export { line, area, curveStepAfter } from "d3-shape";
export { extent, quantileSorted } from "d3-array";
