# What transformers alone answers to questions, greedily: python - MODEL_FOLDER QUESTION...
import json
import sys

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

folder, *questions = sys.argv[1:]
tokenizer = AutoTokenizer.from_pretrained(folder)
model = AutoModelForCausalLM.from_pretrained(folder, torch_dtype=torch.float32)


def answer(question):
    chat = [{"role": "user", "content": question}]
    prompt = tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_tensors="pt")
    with torch.inference_mode():
        tokens = model.generate(prompt, do_sample=False, max_new_tokens=1024)[0, prompt.shape[1] :]
    return {"answer": tokenizer.decode(tokens, skip_special_tokens=True), "tokens": len(tokens)}


print(json.dumps([answer(question) for question in questions]))
