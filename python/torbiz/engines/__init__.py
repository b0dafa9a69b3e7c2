"""Engines that answer questions: each takes a chat and yields its answer in pieces, as ``torbiz.engines.base`` says."""
