/* SPDX-License-Identifier: Apache-2.0 */
#define _POSIX_C_SOURCE 200809L
#include "page.h"

/* Text is put in by textContent, so that no name is ever taken for HTML. */
static const char style[] =
    "<!doctype html><html lang=en><meta charset=utf-8><title>vicinal serve</title><link rel=icon href='data:,'>"
    "<meta name=viewport content='width=device-width'>"
    "<style>"
    ":root{color-scheme:light dark;--line:#8884;--ink:#1668b8}"
    "@media(prefers-color-scheme:dark){:root{--ink:#6cb6ff}}"
    "body{font:15px/1.45 system-ui,sans-serif;max-width:80rem;margin:2rem auto;padding:0 1rem}"
    "h1{font-size:1.3rem;margin:0 0 .3rem}#state{font-weight:600}"
    "dl{display:flex;flex-wrap:wrap;gap:.4rem 2rem;margin:1rem 0}dt{font-size:.8rem;opacity:.7}dd{margin:0}"
    "table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}"
    "th,td{padding:.35rem .7rem;border-bottom:1px solid var(--line);text-align:right;white-space:nowrap}"
    "th{font-size:.8rem;font-weight:500;opacity:.7}th:first-child,td:first-child{text-align:left}"
    "svg{width:120px;height:26px}polyline{fill:none;stroke:var(--ink);stroke-width:1.5}"
    ".scroll{overflow-x:auto}form{margin:1rem 0}"
    "</style>";

static const char body[] =
    "<h1>vicinal <span id=version></span> <span id=state>&hellip;</span></h1>"
    "<form id=login hidden><label>Token <input id=token type=password autocomplete=off></label> "
    "<button>Show</button></form>"
    "<dl id=facts></dl>"
    "<div class=scroll><table><thead><tr><th>model<th>atoms<th>heads<th>type<th>kernel<th>positions<th>waiting"
    "<th>running<th>answered<th>failed<th>a second<th>median<th>last two minutes<tbody id=models></table></div>"
    "<p><a href=/metrics>metrics</a> &middot; <a href=/v2>/v2</a> &middot; <a href=/v2/models/stats>statistics</a></p>";

static const char script[] =
    "<script>\n"
    "'use strict';const $=i=>document.getElementById(i),past=new Map();let last=0,token='';\n"
    "const bytes=n=>{const u=['B','KiB','MiB','GiB','TiB'];let i=0;while(n>=1024&&i<4){n/=1024;i++}"
    "return(i?n.toFixed(1):n)+' '+u[i]};\n"
    "const time=us=>us==null?'':us<1000?us.toFixed(0)+' \\u00b5s':us<1e6?(us/1000).toFixed(1)+' ms':"
    "(us/1e6).toFixed(2)+' s';\n"
    "const age=s=>s<120?s.toFixed(0)+' s':s<7200?(s/60).toFixed(0)+' min':(s/3600).toFixed(1)+' h';\n"
    /* The median of what was answered since the last look, between the bounds of its bucket. */
    "function median(now,then){let n=0,at=0;const d=now.map((v,i)=>v-(then?then[i]:0));for(const v of d)n+=v;"
    "if(!n)return null;for(let i=0;i<d.length;i++){if(at+d[i]>=n/2){const low=i?2**(i-1):0;"
    "return low+(2**i-low)*(n/2-at)/d[i]}at+=d[i]}return null}\n"
    "function spark(values){const ns='http://www.w3.org/2000/svg',s=document.createElementNS(ns,'svg'),"
    "p=document.createElementNS(ns,'polyline'),m=Math.max(...values,1);s.setAttribute('viewBox','0 0 120 26');"
    "s.setAttribute('role','img');s.setAttribute('aria-label','answers a second, at most '+m.toFixed(0));"
    "p.setAttribute('points',values.map((v,i)=>(120-values.length+i)+','+(25-24*v/m).toFixed(1)).join(' '));"
    "s.append(p);return s}\n"
    "function row(m,seconds){const h=past.get(m.name)||{rates:[]},cells=[m.name,m.atoms,m.heads+' \\u00d7 '+m.head_dim,"
    "m.dtype,m.kernel,m.version,m.waiting,m.running,m.answered,m.failed],r=document.createElement('tr');\n"
    "if(h.answered!=null&&seconds>0){h.rates.push(Math.max(0,(m.answered-h.answered)/seconds));"
    "if(h.rates.length>120)h.rates.shift();const now=median(m.microseconds,h.microseconds);if(now!=null)h.p50=now}\n"
    "h.answered=m.answered;h.microseconds=m.microseconds;past.set(m.name,h);"
    "cells.push(h.rates.length?h.rates[h.rates.length-1].toFixed(0):'',time(h.p50));\n"
    "for(const c of cells){const d=document.createElement('td');d.textContent=c;r.append(d)}"
    "const d=document.createElement('td');d.append(spark(h.rates));r.append(d);return r}\n"
    "function show(s){$('version').textContent=s.version;$('state').textContent=s.ready?'ready':'not ready';"
    "const f=[['up',age(s.seconds)],['devices',s.devices.join(', ')],['connections',s.connections],"
    "['under way',s.under_way],['requests',s.requests],['refused',s.refused],"
    "['memory of requests',bytes(s.memory)+' of '+bytes(s.memory_most)],['shared regions',s.regions]];\n"
    "$('facts').replaceChildren(...f.map(([k,v])=>{const d=document.createElement('div'),t=document.createElement('dt'),"
    "w=document.createElement('dd');t.textContent=k;w.textContent=v;d.append(t,w);return d}));\n"
    "$('models').replaceChildren(...s.models.map(m=>row(m,last?s.seconds-last:0)));last=s.seconds}\n"
    "async function look(){try{const a=await fetch('/status.json',token?{headers:{Authorization:'Bearer '+token}}:{});"
    "$('login').hidden=a.status!=401;if(a.ok)show(await a.json());else $('state').textContent=a.status==401?"
    "'needs its token':'answers '+a.status}catch(e){$('state').textContent='does not answer'}"
    "setTimeout(look,1000)}\n"
    "$('login').onsubmit=e=>{e.preventDefault();token=$('token').value};look();\n"
    "</script></html>\n";

unsigned page_write(struct request *r)
{
    buffer_text(&r->text, style);
    buffer_text(&r->text, body);
    buffer_text(&r->text, script);
    return 200;
}
